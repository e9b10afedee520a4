import { fstat, read } from 'node:fs';
import { promisify } from 'node:util';

const readAt = promisify(read);
const statOf = promisify(fstat);

/** Bytes per read, because small boxes are adjacent. */
const WINDOW_BYTES = 65_536;

/** Reads an open file by position, independently of the descriptor's own position. */
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

  /** @returns `length` bytes, padded with zeros beyond the end of the file. */
  async at(position: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    if (position < 0 || position >= this.size) return bytes;
    if (position < this.#from || position + length > this.#from + this.#window.length) await this.#move(position);
    this.#window.copy(bytes, 0, position - this.#from);
    return bytes;
  }

  /** @returns The available bytes, at most `length`. */
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
