import { type Command, HumancastError, idOf, keys, type Redis } from '@humancast/shared';

/** An upload that may be sent again: the segment's id is made of the key, and nobody without the API key can tell it. */
export interface KeyedUpload {
  readonly id: string;
  /** Whether it was loaded before. */
  readonly isDone: boolean;
}

const DONE = 'done ';

/** Remembers which uploads were asked for under which `Idempotency-Key`. */
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

  /** It is loaded: the same again finds it, or that it was deleted since, and never loads it anew. */
  async done(id: string, { fingerprint }: Command): Promise<void> {
    await this.#redis.set(keys.uploadCommand(id), DONE + fingerprint, 'KEEPTTL');
  }
}
