import type { TabStorage } from '../visit.js';

const NAME = 'humancast.api-key';

/** The API key of this tab: asked for once, gone with the tab, never in an address. */
export class KeyStore {
  readonly #storage: TabStorage;

  constructor(storage: TabStorage) {
    this.#storage = storage;
  }

  get(): string | undefined {
    try {
      return this.#storage.getItem(NAME) ?? undefined;
    } catch {
      return undefined;
    }
  }

  keep(key: string): void {
    try {
      this.#storage.setItem(NAME, key);
    } catch {
      // Storage is switched off or full: it will be asked for again.
    }
  }

  forget(): void {
    try {
      this.#storage.removeItem(NAME);
    } catch {
      // As above: then there is nothing to forget.
    }
  }
}
