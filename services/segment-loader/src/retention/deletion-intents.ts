import { keys, type Redis } from '@humancast/shared';
import { z } from 'zod';

const intentSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('avatar'), avatar: z.string() }),
  z.object({ kind: z.literal('segment'), segment: z.string(), avatar: z.string() }),
]);

/** Written although `maxmemory` is reached, since deleting is what makes room. ARGV: field, JSON. */
const BEGIN = `#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`;

/** What is being deleted. */
export type DeletionIntent = z.infer<typeof intentSchema>;

/**
 * Deletions that were begun, in redis-queue: written before anything is removed and taken back when nothing is left, so that a
 * process that dies in between leaves behind what is still to be done.
 */
export class DeletionIntents {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async begin(intent: DeletionIntent): Promise<void> {
    await this.#redis.eval(BEGIN, 1, keys.deletionIntents, keyOf(intent), JSON.stringify(intent));
  }

  async complete(intent: DeletionIntent): Promise<void> {
    await this.#redis.hdel(keys.deletionIntents, keyOf(intent));
  }

  /** @returns those not completed; one of a form that is not known here is left to whoever wrote it. */
  async list(): Promise<DeletionIntent[]> {
    const rows = await this.#redis.hvals(keys.deletionIntents);
    return rows.flatMap((row) => {
      const parsed = intentSchema.safeParse(parseJson(row));
      return parsed.success ? [parsed.data] : [];
    });
  }
}

/** Names an intent; the same deletion asked for twice is one. */
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
