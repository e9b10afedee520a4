import { keys } from '../keys.js';
import { readRecord } from '../records/read-record.js';
import type { Redis } from '../redis.js';
import { type SenderRecord, senderRecordSchema } from './session.js';

/** Media-senders that are alive: a key each, with a time to live, and an index of all that were ever announced. */
export class SenderRegistry {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** A sign of life; must come again within `leaseMs`. One that lives goes on living when Redis is full. */
  async beat(record: SenderRecord, leaseMs: number): Promise<void> {
    const { id, startedAtMs } = record;
    try {
      await this.#redis.set(keys.sender(id), JSON.stringify(record), 'PX', leaseMs);
      await this.#redis.zadd(keys.senderIndex, String(startedAtMs), id);
    } catch (error) {
      if (!isFull(error) || (await this.#redis.pexpire(keys.sender(id), leaseMs)) === 0) throw error;
    }
  }

  /** Ever announced, not yet forgotten, and without a sign of life in time. */
  async vanished(): Promise<string[]> {
    const ids = await this.#redis.zrange(keys.senderIndex, '0', '-1');
    const alive = await Promise.all(ids.map((id) => this.isAlive(id)));
    return ids.filter((_, i) => alive[i] === false);
  }

  /** @returns `undefined` when it is not alive, or alive with a record that this version cannot read. */
  async get(id: string): Promise<SenderRecord | undefined> {
    const row = await this.#redis.get(keys.sender(id));
    return row === null ? undefined : readRecord('sender', id, senderRecordSchema, row);
  }

  async isAlive(id: string): Promise<boolean> {
    return (await this.#redis.exists(keys.sender(id))) === 1;
  }

  /** Everyone ever announced and not yet forgotten: alive ones with their record, as far as it can be read. */
  async list(): Promise<{ id: string; record: SenderRecord | undefined }[]> {
    const ids = await this.#redis.zrange(keys.senderIndex, '0', '-1');
    return Promise.all(ids.map(async (id) => ({ id, record: await this.get(id) })));
  }

  async forget(id: string): Promise<void> {
    await this.#redis.unlink(keys.sender(id));
    await this.#redis.zrem(keys.senderIndex, id);
  }
}

/** Redis refuses what needs memory; renewing a time to live needs none. */
function isFull(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('OOM');
}
