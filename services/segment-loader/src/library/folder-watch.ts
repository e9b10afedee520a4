import { type FSWatcher, statSync, watch } from 'node:fs';
import type { Logger } from '@humancast/shared';

/**
 * Calls back when something in a folder may have changed. Notifications may be late, missing or unavailable (network mounts,
 * inotify limits), so the library also scans periodically.
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

  /** Starts watching, or restarts if the path is now another folder. */
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
    this.#logger.warn({ err: error.message }, 'cannot watch the media folder, scanning at intervals only');
  }
}
