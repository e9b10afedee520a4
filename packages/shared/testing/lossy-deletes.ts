import type { Redis } from '../src/redis.js';

/**
 * A connection that is lost while an entry is deleted from a stream: before Redis has done it, or before it has answered.
 */
export class LossyDeletes {
  readonly redis: Redis;
  #losses: ('before' | 'after')[] = [];
  #broken = false;

  constructor(redis: Redis) {
    this.redis = new Proxy(redis, {
      get: (target, name) => {
        if (name === 'xdel') return (key: string, ...ids: string[]) => this.#xdel(target, key, ids);
        const value: unknown = Reflect.get(target, name);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  }

  /** Fails the next deletions like this, one after another. */
  lose(...when: ('before' | 'after')[]): void {
    this.#losses.push(...when);
  }

  /** Delays all deletions until the returned function is called. */
  break(): () => void {
    this.#broken = true;
    return () => {
      this.#broken = false;
    };
  }

  async #xdel(redis: Redis, key: string, ids: string[]): Promise<number> {
    const when = this.#broken ? 'before' : this.#losses.shift();
    if (when === 'before') throw new Error('Connection is closed.');
    const deleted = await redis.xdel(key, ...ids);
    if (when === 'after') throw new Error('Connection is closed.');
    return deleted;
  }
}
