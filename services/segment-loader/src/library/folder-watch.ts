import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Logger } from '@humancast/shared';

/**
 * Hints that something in a folder has changed. Only hints: they may be late, missing, or not to be had at all (network
 * mounts, inotify limits), which is why the library looks for itself every so often.
 */
export class FolderWatch {
  readonly #root: string;
  readonly #logger: Logger;
  readonly #onHint: () => void;
  #watcher: FSWatcher | undefined;
  #inode: number | undefined;
  #complained = false;

  constructor(root: string, logger: Logger, onHint: () => void) {
    this.#root = root;
    this.#logger = logger;
    this.#onHint = onHint;
  }

  /** Starts, or starts again when the folder is another one than before; else nothing happens. */
  ensure(): void {
    try {
      const inode = statSync(this.#root).ino;
      if (this.#watcher && inode === this.#inode) return;
      this.close();
      this.#inode = inode;
      this.#watcher = watch(this.#root, { recursive: true, persistent: false }, this.#onHint);
      this.#watcher.on('error', (error) => this.#lost(error));
      this.#complained = false;
    } catch (error) {
      this.#lost(error as Error);
    }
  }

  close(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #lost(error: Error): void {
    this.close();
    if (this.#complained) return;
    this.#complained = true;
    this.#logger.warn(
      { err: error.message },
      'no change notifications from the media folder; looking at intervals only',
    );
  }
}
