import { idSchema } from '@humancast/protocol';
import { z } from 'zod';
import { decisionsChannel, keys } from '../keys.js';
import { readRecord } from '../records/read-record.js';
import { type Redis, runScript } from '../redis.js';
import type { Page, StreamFeed } from '../stream-feed.js';
import { ALWAYS } from './scripts.js';

/** Entries kept for media-senders that begin to follow or fall behind: about four seconds. */
const ENTRY_LIMIT = 100;
/** TTL of the decisions of a session that no host adds to, ms. */
const TTL_MS = 10_000;
const STEPS_LIMIT = 16;
const FRAMES_LIMIT = 64;

/** Consecutive frames of a clip. */
const frameRunSchema = z.object({
  /** Increments each time a clip is entered, also if it is the same segment again. */
  entry: z.int().min(0),
  segment: idSchema,
  /** Timeline position of the clip's start, media-clock samples. */
  startSamples: z.number(),
  first: z.int().min(0),
  count: z.int().min(1).max(FRAMES_LIMIT),
});

/** A position in a clip; `seq` is 0 for idle. */
const placeSchema = z.object({ segment: idSchema, seq: z.int().min(0), positionSamples: z.number().min(0) });

const headSchema = z.object({
  epoch: z.int().min(1),
  /** Instant at which the timeline's position is zero, ms since the Unix epoch by the clock of Redis. */
  anchorMs: z.number(),
  /** Timeline position of the first audio packet, media-clock samples. */
  audioSamples: z.int().min(0),
  frames: z.array(frameRunSchema).max(FRAMES_LIMIT),
  /** The position at which another host would continue after these steps. Absent before the first idle clip. */
  after: placeSchema.optional(),
  /** Entries that will be played soon, for prefetching. */
  next: z.array(placeSchema).max(STEPS_LIMIT),
});

/** A session host's playout decisions: consecutive steps of 20 ms, one audio packet each. */
export type Decisions = z.infer<typeof headSchema> & {
  readonly opus: readonly Buffer[];
};

export interface DecisionEntry {
  readonly id: string;
  /** `undefined` if it was stored by another version. */
  readonly decisions: Decisions | undefined;
}

/** KEYS: 1 the session, 2 its decisions. ARGV: epoch, channel, limit, TTL ms, fields. Returns `nil` if the epoch is over. */
const PUBLISH = `${ALWAYS}
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return nil end
redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[3], '*', unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[2], ARGV[4])
redis.call('PUBLISH', ARGV[2], '1')
return redis.call('TIME')`;

const TIME = `#!lua flags=no-writes\nreturn redis.call('TIME')`;

/**
 * The decisions of sessions that are played by several media-senders: a short Redis stream for each, written by the host and
 * followed by the others. The clock of Redis, which all of them can ask, tells them when the timeline began.
 */
export class DecisionLog {
  readonly #redis: Redis;
  readonly #feed: StreamFeed;

  /** @param feed A feed of the same Redis. */
  constructor(redis: Redis, feed: StreamFeed) {
    this.#redis = redis;
    this.#feed = feed;
  }

  /** @returns The time by the clock of Redis, ms; `undefined` if the epoch is over: another host has the session. */
  async publish(session: string, { opus, ...head }: Decisions): Promise<number | undefined> {
    const fields = ['d', JSON.stringify(head), ...opus.flatMap((packet) => ['o', packet])];
    const args = [head.epoch, decisionsChannel(session), ENTRY_LIMIT, TTL_MS, ...fields];
    return toMs(
      await runScript(this.#redis, PUBLISH, [keys.session(session), keys.sessionDecisions(session)], ...args),
    );
  }

  /** @returns The time by the clock of the Redis node that has the session, ms. */
  async timeMs(session: string): Promise<number> {
    return toMs(await runScript(this.#redis, TIME, [keys.session(session)])) as number;
  }

  /** Passes on the entries that are kept, and each further one. @returns A function that stops it. */
  follow(session: string, onEntry: (entry: DecisionEntry) => void): () => void {
    return this.#feed.follow(
      decisionsChannel(session),
      '0',
      (afterId, limit) => this.#read(session, afterId, limit),
      onEntry,
    );
  }

  /** @returns The last decisions, if there are any. */
  async last(session: string): Promise<Decisions | undefined> {
    const [row] = await this.#redis.xrevrangeBuffer(keys.sessionDecisions(session), '+', '-', 'COUNT', 1);
    return row && parse(session, row[1]);
  }

  async #read(session: string, afterId: string, limit: number): Promise<Page<DecisionEntry>> {
    const rows = await this.#redis.xrangeBuffer(keys.sessionDecisions(session), `(${afterId}`, '+', 'COUNT', limit);
    const entries = rows.map(([id, fields]) => ({ id: id.toString(), decisions: parse(session, fields) }));
    return { entries, lastId: entries.at(-1)?.id ?? afterId, more: rows.length === limit };
  }
}

function parse(session: string, fields: readonly Buffer[]): Decisions | undefined {
  const head = readRecord('decisions', session, headSchema, fields[1]?.toString());
  const opus = fields.filter((_, i) => i >= 2 && i % 2 === 1).slice(0, STEPS_LIMIT);
  return head && { ...head, opus };
}

/** @param time The reply of TIME. */
function toMs(time: unknown): number | undefined {
  if (!Array.isArray(time)) return undefined;
  return Number(time[0]) * 1000 + Number(time[1]) / 1000;
}
