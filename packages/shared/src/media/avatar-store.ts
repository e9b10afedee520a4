import { type Avatar, avatarSchema } from '@humancast/protocol';
import { keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import type { Redis } from '../redis.js';

/** Avatars' definitions, in redis-queue: they must outlive a flushed media cache. */
export class AvatarStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** @returns every avatar that this version can read, by id. */
  async list(): Promise<Avatar[]> {
    const rows = await this.#redis.hgetall(keys.avatars);
    return Object.entries(rows)
      .flatMap(([id, row]) => readRecord('avatar', id, avatarSchema, row) ?? [])
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** @returns the ids of all avatars that are defined, also of those that this version cannot read. */
  ids(): Promise<string[]> {
    return this.#redis.hkeys(keys.avatars);
  }

  /** @throws HumancastError `record_unreadable`. */
  async get(id: string): Promise<Avatar | undefined> {
    const row = await this.#redis.hget(keys.avatars, id);
    return row === null ? undefined : requireRecord('avatar', id, avatarSchema, row);
  }

  async put(avatar: Avatar): Promise<void> {
    await this.#redis.hset(keys.avatars, avatar.id, JSON.stringify(avatarSchema.parse(avatar)));
  }

  /**
   * Defines an avatar with defaults unless it is there already, as a new folder does.
   * @param name for people; cut to what a name may have.
   */
  async ensure(id: string, name?: string): Promise<void> {
    await this.#redis.hsetnx(keys.avatars, id, JSON.stringify(avatarSchema.parse({ id, name: name?.slice(0, 100) })));
  }

  async delete(id: string): Promise<boolean> {
    return (await this.#redis.hdel(keys.avatars, id)) === 1;
  }
}
