import { z } from 'zod';
import { keys } from '../keys.js';
import { type Redis, runScript } from '../redis.js';

/** Entries kept; a reader that missed more drops everything it has in memory. */
const ENTRY_LIMIT = 1000;
/** Segments in one entry. */
const ENTRY_SEGMENTS = 100;
/** Entries in one answer. */
const BATCH = 100;
const FIELD = 's';
const START = '0-0';

/** Appends even when `maxmemory` is reached, because deleting releases memory; the stream is bounded. ARGV: limit, entry. */
const APPEND = `#!lua flags=allow-oom
return redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', '${FIELD}', ARGV[2])`;

const entrySchema = z.array(z.string());

export interface Deletions {
  readonly segments: readonly string[];
  /** Entries were lost before they were read: anything may have been deleted. */
  readonly gap: boolean;
}

/**
 * The log of deleted segments, a stream in redis-queue: the loader appends deleted segments, and every media-sender reads on
 * from its position and drops them from memory. Readers keep their own positions, so a process that was frozen or
 * disconnected misses no deletion; at most {@link ENTRY_LIMIT} entries are kept.
 */
export class DeletionLog {
  readonly #redis: Redis;
  #cursor: string | undefined;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async append(segments: readonly string[]): Promise<void> {
    for (let from = 0; from < segments.length; from += ENTRY_SEGMENTS) {
      const entry = JSON.stringify(segments.slice(from, from + ENTRY_SEGMENTS));
      await runScript(this.#redis, APPEND, [keys.deletions], ENTRY_LIMIT, entry);
    }
  }

  /**
   * Reads what was appended since the previous call. The first call only sets the position, because a process that has just
   * started holds nothing deleted earlier. One reader per instance.
   */
  async next(): Promise<Deletions> {
    const cursor = this.#cursor;
    if (cursor === undefined) {
      this.#cursor = await this.#last();
      return { segments: [], gap: false };
    }
    // Starts at the last entry read: if that is gone, later ones may be missing too.
    const entries = await this.#redis.xrange(keys.deletions, cursor, '+', 'COUNT', BATCH);
    const gap = cursor !== START && entries[0]?.[0] !== cursor;
    if (gap) {
      this.#cursor = await this.#last();
      return { segments: [], gap };
    }
    this.#cursor = entries.at(-1)?.[0] ?? cursor;
    const fresh = entries.filter(([id]) => id !== cursor);
    return { segments: fresh.flatMap(([, fields]) => segmentsOf(fields[1] ?? '')), gap };
  }

  async #last(): Promise<string> {
    const [entry] = await this.#redis.xrevrange(keys.deletions, '+', '-', 'COUNT', 1);
    return entry?.[0] ?? START;
  }
}

/** An entry of an unknown form names no segment. */
function segmentsOf(text: string): string[] {
  try {
    return entrySchema.parse(JSON.parse(text));
  } catch {
    return [];
  }
}
