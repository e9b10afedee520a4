import { randomUUID } from 'node:crypto';
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { orDiskFull } from '../disk-full.js';

/**
 * A file for an upload, on disk but without a name, so that the system frees it when the last descriptor is closed, even
 * after a crash.
 */
export class ScratchFile {
  readonly #handle: FileHandle;
  #bytes = 0;
  #closed = false;

  private constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  /** @param folder Parent folder; `''` for the system's default. @throws HumancastError `disk_full`. */
  static async create(folder: string): Promise<ScratchFile> {
    const path = join(folder === '' ? tmpdir() : folder, `humancast-upload-${randomUUID()}`);
    try {
      const handle = await open(path, 'wx+', 0o600);
      await unlink(path);
      // ffmpeg reads the descriptor as another user; nobody else can open a file without a name.
      await handle.chmod(0o444);
      return new ScratchFile(handle);
    } catch (error) {
      throw orDiskFull(error, 'the upload');
    }
  }

  get descriptor(): number {
    return this.#handle.fd;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws HumancastError `disk_full`. */
  async write(chunk: Buffer): Promise<void> {
    try {
      await this.#handle.writev([chunk]);
    } catch (error) {
      throw orDiskFull(error, 'the upload');
    }
    this.#bytes += chunk.length;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#handle.close();
  }
}
