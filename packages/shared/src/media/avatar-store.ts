import type { FolderProblem } from '@humancast/protocol';
import { type Avatar, avatarSchema } from '@humancast/protocol';
import { keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import type { Redis } from '../redis.js';
import { type FolderProblems, folderProblemsSchema, publishedProblems } from './folder-problems.js';

/** Hash field of problems that belong to no avatar; no avatar id is empty. */
const STRAY = '';

/**
 * Stores avatars' definitions and the problems of their folders in redis-queue, because definitions must outlive a flushed
 * media store.
 */
export class AvatarStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** @returns Every avatar that this version can read, by id. */
  async list(): Promise<Avatar[]> {
    const rows = await this.#redis.hgetall(keys.avatars);
    return Object.entries(rows)
      .flatMap(([id, row]) => readRecord('avatar', id, avatarSchema, row) ?? [])
      .sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  /** @returns The ids of all defined avatars, including those that this version cannot read. */
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
   * @param name For people; cut to what a name may have.
   */
  async ensure(id: string, name?: string): Promise<void> {
    await this.#redis.hsetnx(keys.avatars, id, JSON.stringify(avatarSchema.parse({ id, name: name?.slice(0, 100) })));
  }

  async delete(id: string): Promise<boolean> {
    return (await this.#redis.hdel(keys.avatars, id)) === 1;
  }

  /**
   * Publishes the problems of the watched folder, in place of all that were published before. Writes only what has changed.
   * @param problems By avatar; `undefined` is the key of those that belong to none.
   */
  async publishProblems(problems: ReadonlyMap<string | undefined, readonly FolderProblem[]>): Promise<void> {
    const before = await this.#redis.hgetall(keys.avatarProblems);
    const after = new Map(
      [...problems].map(([avatar, list]) => [avatar ?? STRAY, JSON.stringify(publishedProblems(list))]),
    );
    const solved = Object.keys(before).filter((field) => !after.has(field));
    const changed = [...after].filter(([field, row]) => before[field] !== row).flat();
    if (solved.length > 0) await this.#redis.hdel(keys.avatarProblems, ...solved);
    if (changed.length > 0) await this.#redis.hset(keys.avatarProblems, ...changed);
  }

  /** @returns The published problems by avatar; `undefined` is the key of those that belong to none. */
  async problems(): Promise<ReadonlyMap<string | undefined, FolderProblems>> {
    const rows = await this.#redis.hgetall(keys.avatarProblems);
    return new Map(
      Object.entries(rows).flatMap(([field, row]) => {
        const read = readRecord('avatar-problems', field, folderProblemsSchema, row);
        return read ? [[field === STRAY ? undefined : field, read] as const] : [];
      }),
    );
  }
}
