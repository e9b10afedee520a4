/** @returns PCM of 16 bits as the Realtime API writes it. */
export function toBase64(pcm: Int16Array): string {
  return Buffer.from(pcm.buffer, pcm.byteOffset, pcm.byteLength).toString('base64');
}

export function fromBase64(text: string): Int16Array {
  const bytes = Buffer.from(text, 'base64');
  // Copied, because samples must be aligned.
  return new Int16Array(Uint8Array.prototype.slice.call(bytes, 0, bytes.length & ~1).buffer);
}
