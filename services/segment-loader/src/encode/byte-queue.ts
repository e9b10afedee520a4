/** Queues bytes that arrive in chunks of any size, to be read in any lengths. */
export class ByteQueue {
  #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** @returns The first `length` bytes, contiguous (a view if one chunk holds them); `undefined` while there are fewer. */
  take(length: number): Buffer | undefined {
    if (this.#length < length) return undefined;
    const parts: Buffer[] = [];
    let missing = length;
    while (missing > 0) {
      const chunk = this.#chunks[0] as Buffer;
      parts.push(chunk.subarray(0, missing));
      if (chunk.length > missing) this.#chunks[0] = chunk.subarray(missing);
      else this.#chunks.shift();
      missing -= Math.min(missing, chunk.length);
    }
    this.#length -= length;
    return parts.length === 1 ? parts[0] : Buffer.concat(parts, length);
  }
}
