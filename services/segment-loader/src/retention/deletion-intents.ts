import { keys, type Redis, runScript } from '@humancast/shared';
import { z } from 'zod';

const intentSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('avatar'), avatar: z.string() }),
  z.object({ kind: z.literal('segment'), segment: z.string(), avatar: z.string() }),
]);

/** Stores an intent, also above `maxmemory`, because a deletion frees memory. ARGV: field, JSON. */
const BEGIN = `#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`;

/** A deletion in progress. */
export type DeletionIntent = z.infer<typeof intentSchema>;

/**
 * Intents of deletions in progress, in redis-queue. An intent is written before anything is removed and deleted when nothing
 * is left, so a deletion that a crash interrupts is completed later.
 */
export class DeletionIntents {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async begin(intent: DeletionIntent): Promise<void> {
    await runScript(this.#redis, BEGIN, [keys.deletionIntents], keyOf(intent), JSON.stringify(intent));
  }

  async complete(intent: DeletionIntent): Promise<void> {
    await this.#redis.hdel(keys.deletionIntents, keyOf(intent));
  }

  /**
   * @returns The intents not yet completed, without those of an unknown format, which are left to the version that wrote
   * them.
   */
  async list(): Promise<DeletionIntent[]> {
    const rows = await this.#redis.hvals(keys.deletionIntents);
    return rows.flatMap((row) => {
      const parsed = intentSchema.safeParse(parseJson(row));
      return parsed.success ? [parsed.data] : [];
    });
  }
}

/** @returns The field of an intent; repeated requests for the same deletion share it. */
export function keyOf(intent: DeletionIntent): string {
  return intent.kind === 'avatar' ? `avatar:${intent.avatar}` : `segment:${intent.segment}`;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
