import { randomUUID } from 'node:crypto';
import { keys, senderChannel } from '../keys.js';
import { readRecord } from '../records/read-record.js';
import { isWriteRejected, mastersOf, type Redis, runScript } from '../redis.js';
import { ALWAYS } from './scripts.js';
import { type SenderRecord, senderRecordSchema } from './session.js';

/** Lease of media-senders whose record does not contain it (previous version). */
const LEASE_MS = 1000;
/**
 * Fraction of a lease without a heartbeat after which a media-sender is suspected: one of four heartbeats per lease is
 * overdue.
 */
const OVERDUE_SHARE = 0.35;

/**
 * KEYS: 1 the record (string with a TTL), 2 the fence (hash: `leaseMs`, `watched`, `life`, `suspect`, `condemned`); both of
 * one media-sender, in one slot.
 */
const SCRIPTS = {
  /**
   * ARGV: record, leaseMs, watched, token. Withdraws a suspicion. Returns the media-sender's life: a token it chose itself,
   * which differs once it was condemned or forgotten. (A flag would be lost with the answer.)
   */
  beat: `${ALWAYS}
local life = redis.call('HGET', KEYS[2], 'life')
if not life or redis.call('HEXISTS', KEYS[2], 'condemned') == 1 then life = ARGV[4] end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HDEL', KEYS[2], 'suspect', 'condemned')
redis.call('HSET', KEYS[2], 'leaseMs', ARGV[2], 'watched', ARGV[3], 'life', life)
return life`,

  /** ARGV: token. Returns the token of the current suspicion, which may be an older one. */
  suspect: `${ALWAYS}
redis.call('HSETNX', KEYS[2], 'suspect', ARGV[1])
return redis.call('HGET', KEYS[2], 'suspect')`,

  /** ARGV: token. Returns 1 if the media-sender is condemned, 0 if it has sent a heartbeat since. */
  condemn: `${ALWAYS}
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('HEXISTS', KEYS[2], 'condemned') == 1 then return 1 end
if redis.call('HGET', KEYS[2], 'suspect') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'condemned', 1)
return 1`,

  /** Returns 1 if it was forgotten, 0 if it has come back since it was condemned. */
  forgetCondemned: `${ALWAYS}
if redis.call('HEXISTS', KEYS[2], 'condemned') == 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1`,
} as const;

/** KEYS: the index. ARGV: start time, ID. */
const ANNOUNCE = `${ALWAYS}
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])`;

/** Liveness of a media-sender at the time of a sweep. */
export interface SenderLiveness {
  /** Whether it should be suspected: its heartbeat is overdue, or its process's connection has closed. */
  overdue: boolean;
  leaseMs: number;
}

/**
 * Media-senders and their liveness. A heartbeat is a record with a TTL; an index names all media-senders that were
 * announced.
 *
 * A media-sender is declared dead in two steps: a process records a suspicion, waits for most of a lease (longer than the
 * media-sender relies on) by a monotonic clock, and condemns it, which Redis rejects if the suspicion was withdrawn. A
 * media-sender that reads that it is not suspected therefore keeps its lease from that instant on. Reading works even if
 * Redis cannot write (full disk), when no suspicion can be written either, and the wall clock of Redis does not matter.
 */
export class SenderRegistry {
  readonly #redis: Redis;
  /** Tokens of the uninterrupted lives of the media-senders for which this process sends heartbeats. */
  readonly #lives = new Map<string, string>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Sends a heartbeat that is valid for `leaseMs` from before it was sent.
   * @param watched Whether the process is subscribed to its {@link senderChannel}, so that its death is noticed immediately.
   * @returns `false` if the lease was interrupted before: others may have taken its sessions.
   * @throws Error if the heartbeat was not confirmed.
   */
  async beat(record: SenderRecord, leaseMs: number, watched = false): Promise<boolean> {
    const { id, startedAtMs } = record;
    try {
      const life = String(await this.#run('beat', id, JSON.stringify(record), leaseMs, watched ? 1 : 0, randomUUID()));
      const unbroken = this.#lives.get(id) === life;
      // Repeated each time, because a process that has just forgotten it may remove it from the index afterwards.
      await runScript(this.#redis, ANNOUNCE, [keys.senderIndex], startedAtMs, id);
      // Last, because the caller must learn of a new life exactly once, whatever failed before.
      this.#lives.set(id, life);
      return unbroken;
    } catch (error) {
      if (isWriteRejected(error) && (await this.#isUnsuspected(id))) return true;
      throw error;
    }
  }

  /** @returns All announced media-senders that are not forgotten. */
  known(): Promise<string[]> {
    return this.#redis.zrange(keys.senderIndex, '0', '-1');
  }

  async liveness(ids: readonly string[]): Promise<Map<string, SenderLiveness>> {
    const connected = await this.#connected(ids);
    const liveness = ids.map(async (id): Promise<[string, SenderLiveness]> => {
      const [leftMs, [lease, watched]] = await Promise.all([
        this.#redis.pttl(keys.sender(id)),
        this.#redis.hmget(keys.senderFence(id), 'leaseMs', 'watched'),
      ]);
      const leaseMs = Number(lease ?? LEASE_MS);
      const isGone = watched === '1' && connected?.get(id) === false;
      return [id, { overdue: isGone || leftMs < leaseMs * (1 - OVERDUE_SHARE), leaseMs }];
    });
    return new Map(await Promise.all(liveness));
  }

  /** @returns The current suspicion, new or existing. A caller that has seen it for nine tenths of a lease may condemn. */
  async suspect(id: string, token: string): Promise<string> {
    return String(await this.#run('suspect', id, token));
  }

  /**
   * Condemns a media-sender, which afterwards plays nothing of what it hosted before.
   * @returns `false` if it has sent a heartbeat since it was suspected.
   */
  async condemn(id: string, suspicion: string): Promise<boolean> {
    return (await this.#run('condemn', id, suspicion)) === 1;
  }

  /** @returns `false` if the media-sender has come back since it was condemned. */
  async forgetCondemned(id: string): Promise<boolean> {
    if ((await this.#run('forgetCondemned', id)) === 0) return false;
    await this.#redis.zrem(keys.senderIndex, id);
    return true;
  }

  /** @returns `undefined` if it is not alive, or its record is unreadable. */
  async get(id: string): Promise<SenderRecord | undefined> {
    const row = await this.#redis.get(keys.sender(id));
    return row === null ? undefined : readRecord('sender', id, senderRecordSchema, row);
  }

  async isAlive(id: string): Promise<boolean> {
    return (await this.#redis.exists(keys.sender(id))) === 1;
  }

  /** @returns All announced media-senders that are not forgotten; alive ones with their record, if it is readable. */
  async list(): Promise<{ id: string; record: SenderRecord | undefined }[]> {
    const ids = await this.known();
    return Promise.all(ids.map(async (id) => ({ id, record: await this.get(id) })));
  }

  /** @returns The records of living media-senders, of as many random announced ones. */
  async sample(count: number): Promise<SenderRecord[]> {
    const ids = await this.#redis.zrandmember(keys.senderIndex, count);
    const records = await Promise.all([ids].flat().map((id) => this.get(id)));
    return records.flatMap((record) => record ?? []);
  }

  /** Removes a media-sender that shuts down. */
  async forget(id: string): Promise<void> {
    await this.#redis.unlink(keys.sender(id), keys.senderFence(id));
    await this.#redis.zrem(keys.senderIndex, id);
  }

  /**
   * @returns The media-senders whose process is connected; `undefined` on a cluster, where a node knows only its own
   * subscribers.
   */
  async #connected(ids: readonly string[]): Promise<Map<string, boolean> | undefined> {
    const [server, ...others] = mastersOf(this.#redis);
    if (!server || others.length > 0 || ids.length === 0) return undefined;
    const counts = (await server.pubsub('NUMSUB', ...ids.map(senderChannel))) as (string | number)[];
    return new Map(ids.map((id, i) => [id, Number(counts[2 * i + 1]) > 0]));
  }

  async #isUnsuspected(id: string): Promise<boolean> {
    const fence = keys.senderFence(id);
    const [life, suspect, condemned] = await this.#redis.hmget(fence, 'life', 'suspect', 'condemned');
    return life !== null && life === this.#lives.get(id) && suspect === null && condemned === null;
  }

  #run(script: keyof typeof SCRIPTS, id: string, ...args: (string | number)[]): Promise<unknown> {
    return runScript(this.#redis, SCRIPTS[script], [keys.sender(id), keys.senderFence(id)], ...args);
  }
}
