import { fstat, read } from 'node:fs';
import { promisify } from 'node:util';

const readAt = promisify(read);
const statOf = promisify(fstat);

/** Small boxes lie side by side: one read for many of them. */
const WINDOW_BYTES = 65_536;

/** Reads an open file by position, which neither uses nor moves the descriptor's own. */
export class FileBytes {
  readonly size: number;
  readonly #descriptor: number;
  #window: Buffer = Buffer.alloc(0);
  #from = 0;

  private constructor(descriptor: number, size: number) {
    this.#descriptor = descriptor;
    this.size = size;
  }

  static async open(descriptor: number): Promise<FileBytes> {
    return new FileBytes(descriptor, (await statOf(descriptor)).size);
  }

  /** @returns as many bytes as there are, filled up with zeros. */
  async at(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    if (position < 0 || position >= this.size) return bytes;
    if (position < this.#from || position + length > this.#from + this.#window.length) await this.#move(position);
    this.#window.copy(bytes, 0, position - this.#from);
    return bytes;
  }

  /** @returns the bytes that there are, at most `length`. */
  async read(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    const { bytesRead } = await readAt(this.#descriptor, bytes, 0, length, position);
    return bytes.subarray(0, bytesRead);
  }

  async #move(position: number): Promise<void> {
    this.#window = await this.read(position, WINDOW_BYTES);
    this.#from = position;
  }
}
