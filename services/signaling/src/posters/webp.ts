const RIFF_HEADER_BYTES = 12;
const CHUNK_HEADER_BYTES = 8;

/** Position of the height in a keyframe, 14 bits and two of scaling (RFC 6386 §9.1). */
const HEIGHT_OFFSET = 8;

/** @returns The keyframe cut to its upper lines: a decoder reads macroblocks from the top, and no more than it needs. */
export function withHeight(keyframe: Buffer, height: number): Buffer {
  const cut = Buffer.from(keyframe);
  cut.writeUInt16LE(height, HEIGHT_OFFSET);
  return cut;
}

/** Wraps a VP8 keyframe as a lossy WebP image, which has the same bitstream (RFC 9649 §2.5). */
export function webpOf(keyframe: Buffer): Buffer {
  const header = Buffer.alloc(RIFF_HEADER_BYTES + CHUNK_HEADER_BYTES);
  // Chunks are padded to an even length, which their size does not include (RFC 9649 §2.3).
  const padding = Buffer.alloc(keyframe.length % 2);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(header.length - 8 + keyframe.length + padding.length, 4);
  header.write('WEBPVP8 ', 8, 'latin1');
  header.writeUInt32LE(keyframe.length, 16);
  return Buffer.concat([header, keyframe, padding]);
}
