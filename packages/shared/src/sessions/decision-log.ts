import { decisionsChannel, keys } from '../keys.js';
import { type Redis, runScript } from '../redis.js';
import type { Page, StreamFeed } from '../stream-feed.js';
import { DecisionDecoder, DecisionEncoder, type Decisions } from './decision-codec.js';
import { ALWAYS } from './scripts.js';

/** Entries kept for media-senders that begin to follow or fall behind: about four seconds. */
const ENTRY_LIMIT = 100;
/** TTL of the decisions of a session that no host adds to, ms. */
const TTL_MS = 10_000;

interface Entry {
  readonly id: string;
  /** Names and values. */
  readonly fields: readonly Buffer[];
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

  /**
   * Begins to publish a session's decisions.
   * @returns A function that publishes the next ones. It returns the time by the clock of Redis, ms; `undefined` if the epoch is
   * over: another host has the session.
   */
  publisher(session: string): (decisions: Decisions) => Promise<number | undefined> {
    const encoder = new DecisionEncoder();
    const scriptKeys = [keys.session(session), keys.sessionDecisions(session)];
    return async (decisions) => {
      const args = [decisions.epoch, decisionsChannel(session), ENTRY_LIMIT, TTL_MS, ...encoder.encode(decisions)];
      try {
        return toMs(await runScript(this.#redis, PUBLISH, scriptKeys, ...args));
      } catch (error) {
        encoder.refresh();
        throw error;
      }
    };
  }

  /** @returns The time by the clock of the Redis node that has the session, ms. */
  async timeMs(session: string): Promise<number> {
    return toMs(await runScript(this.#redis, TIME, [keys.session(session)])) as number;
  }

  /** Passes on the decisions that are kept, and all further ones. @returns A function that stops it. */
  follow(session: string, onDecisions: (decisions: Decisions) => void): () => void {
    const decoder = new DecisionDecoder(session);
    return this.#feed.follow(
      decisionsChannel(session),
      '0',
      (afterId, limit) => this.#read(session, afterId, limit),
      ({ fields }) => {
        const decisions = decoder.decode(fields);
        if (decisions) onDecisions(decisions);
      },
    );
  }

  /** @returns The last decisions, if there are any. */
  async last(session: string): Promise<Decisions | undefined> {
    const decoder = new DecisionDecoder(session);
    const { entries } = await this.#read(session, '0', ENTRY_LIMIT);
    return entries.map(({ fields }) => decoder.decode(fields)).findLast((decisions) => decisions !== undefined);
  }

  async #read(session: string, afterId: string, limit: number): Promise<Page<Entry>> {
    const rows = await this.#redis.xrangeBuffer(keys.sessionDecisions(session), `(${afterId}`, '+', 'COUNT', limit);
    const entries = rows.map(([id, fields]) => ({ id: id.toString(), fields }));
    return { entries, lastId: entries.at(-1)?.id ?? afterId, more: rows.length === limit };
  }
}

/** @param time The reply of TIME. */
function toMs(time: unknown): number | undefined {
  if (!Array.isArray(time)) return undefined;
  return Number(time[0]) * 1000 + Number(time[1]) / 1000;
}
