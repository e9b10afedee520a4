import { type Command, HumancastError, idOf, keys, type Redis } from '@humancast/shared';

/** An upload with an idempotency key. The segment ID is derived from that key and the API key, so it can't be guessed. */
export interface KeyedUpload {
  readonly id: string;
  /** Whether it was loaded before. */
  readonly isDone: boolean;
}

const DONE = 'done ';

/** Stores which uploads were requested under which `Idempotency-Key`. */
export class UploadCommands {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** @throws HumancastError `idempotency_key_reused`. */
  async begin({ key, fingerprint, ttlMs }: Command, apiKey: string): Promise<KeyedUpload> {
    const id = idOf('seg', key, [apiKey]);
    const name = keys.uploadCommand(id);
    if ((await this.#redis.set(name, fingerprint, 'PX', ttlMs, 'NX')) === 'OK') return { id, isDone: false };
    const known = (await this.#redis.get(name)) ?? fingerprint;
    if (known !== fingerprint && known !== DONE + fingerprint) throw new HumancastError('idempotency_key_reused');
    return { id, isDone: known.startsWith(DONE) };
  }

  /**
   * Marks an upload as loaded: a repeated request then returns its segment, or 404 if it was deleted, and never loads it
   * again.
   */
  async done(id: string, { fingerprint }: Command): Promise<void> {
    await this.#redis.set(keys.uploadCommand(id), DONE + fingerprint, 'KEEPTTL');
  }
}
