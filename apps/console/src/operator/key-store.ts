import type { TabStorage } from '../visit.js';

const NAME = 'humancast.api-key';

/** The API key of this tab. It is kept in session storage, never in a URL. */
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
      // Storage is disabled or full; the form will ask again.
    }
  }

  forget(): void {
    try {
      this.#storage.removeItem(NAME);
    } catch {
      // Storage is disabled; nothing is stored.
    }
  }
}
