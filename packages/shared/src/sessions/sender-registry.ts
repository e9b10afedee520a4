import { randomUUID } from 'node:crypto';
import { keys, senderChannel } from '../keys.js';
import { readRecord } from '../records/read-record.js';
import { isRefused, mastersOf, type Redis } from '../redis.js';
import { ALWAYS } from './scripts.js';
import { type SenderRecord, senderRecordSchema } from './session.js';

/** The lease of media-senders that do not write down theirs (of the release before). */
const LEASE_MS = 1000;
/** The part of a lease without a sign of life after which a media-sender is suspected: one is overdue, of four in a lease. */
const SILENT_SHARE = 0.35;

/**
 * KEYS: 1 the record (string with a time to live), 2 the fence (hash: `leaseMs`, `watched`, `life`, `suspect`, `condemned`); both of one
 * media-sender, in one slot.
 */
const SCRIPTS = {
  /**
   * ARGV: record, leaseMs, watched, token. Withdraws a suspicion. → the media-sender's life: a token that it gave itself, and that
   * is another once it was condemned or forgotten. (A bit that says so would be lost with the answer.)
   */
  beat: `${ALWAYS}
local life = redis.call('HGET', KEYS[2], 'life')
if not life or redis.call('HEXISTS', KEYS[2], 'condemned') == 1 then life = ARGV[4] end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('HDEL', KEYS[2], 'suspect', 'condemned')
redis.call('HSET', KEYS[2], 'leaseMs', ARGV[2], 'watched', ARGV[3], 'life', life)
return life`,

  /** ARGV: token. → the token of the suspicion that stands: an older one if there is one. */
  suspect: `${ALWAYS}
redis.call('HSETNX', KEYS[2], 'suspect', ARGV[1])
return redis.call('HGET', KEYS[2], 'suspect')`,

  /** ARGV: token. → 1 when the media-sender is condemned, also when it was before; 0 when it has given a sign of life since. */
  condemn: `${ALWAYS}
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
if redis.call('HEXISTS', KEYS[2], 'condemned') == 1 then return 1 end
if redis.call('HGET', KEYS[2], 'suspect') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[2], 'condemned', 1)
return 1`,

  /** → 1 when it is forgotten, 0 when it has come back since it was condemned. */
  forgetCondemned: `${ALWAYS}
if redis.call('HEXISTS', KEYS[2], 'condemned') == 0 then return 0 end
redis.call('DEL', KEYS[1], KEYS[2])
return 1`,
} as const;

/** KEYS: the index. ARGV: when it started, id. */
const ANNOUNCE = `${ALWAYS}
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])`;

/** What a sweep sees of a media-sender. */
export interface SenderSigns {
  /** Whether it should be suspected: it missed its signs of life, or the connection of its process has closed. */
  silent: boolean;
  leaseMs: number;
}

/**
 * Media-senders, and who of them lives. A sign of life is a record with a time to live, and an index names all that were ever
 * announced.
 *
 * A media-sender is taken for dead in two steps, and its lease rests on the first: somebody writes down a suspicion, waits for
 * most of a lease (more than the media-sender counts on) by a monotonic clock, and condemns it, which Redis refuses once the suspicion was withdrawn. So whoever reads that
 * nobody suspects it keeps the lease from that instant on. Reading is possible when Redis can't write (its disk is full), and then
 * nobody can write a suspicion either; and no clock of Redis counts.
 */
export class SenderRegistry {
  readonly #redis: Redis;
  /** The lives of the media-senders for which this gives signs. */
  readonly #lives = new Map<string, string>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /**
   * Gives a sign of life, for `leaseMs` from before it was sent.
   * @param watched whether the process is subscribed to its {@link senderChannel}, so that its death is noticed at once.
   * @returns `false` when the lease was interrupted before: others may have taken sessions over.
   * @throws when the sign did not get through.
   */
  async beat(record: SenderRecord, leaseMs: number, watched = false): Promise<boolean> {
    const { id, startedAtMs } = record;
    try {
      const life = String(await this.#run('beat', id, JSON.stringify(record), leaseMs, watched ? 1 : 0, randomUUID()));
      const unbroken = this.#lives.get(id) === life;
      // Each time: whoever has just forgotten it may remove it from the index after this.
      await this.#redis.eval(ANNOUNCE, 1, keys.senderIndex, startedAtMs, id);
      // Last: the caller must be told of a new life once, whatever failed before.
      this.#lives.set(id, life);
      return unbroken;
    } catch (error) {
      if (isRefused(error) && (await this.#isUnsuspected(id))) return true;
      throw error;
    }
  }

  /** Every media-sender that was ever announced and is not forgotten. */
  known(): Promise<string[]> {
    return this.#redis.zrange(keys.senderIndex, '0', '-1');
  }

  async signsOf(ids: readonly string[]): Promise<Map<string, SenderSigns>> {
    const connected = await this.#connected(ids);
    const signs = ids.map(async (id): Promise<[string, SenderSigns]> => {
      const [leftMs, [lease, watched]] = await Promise.all([
        this.#redis.pttl(keys.sender(id)),
        this.#redis.hmget(keys.senderFence(id), 'leaseMs', 'watched'),
      ]);
      const leaseMs = Number(lease ?? LEASE_MS);
      const isGone = watched === '1' && connected?.get(id) === false;
      return [id, { silent: isGone || leftMs < leaseMs * (1 - SILENT_SHARE), leaseMs }];
    });
    return new Map(await Promise.all(signs));
  }

  /** @returns the suspicion that stands from now on, or did already. Whoever has seen it for nine tenths of a lease may condemn. */
  async suspect(id: string, token: string): Promise<string> {
    return String(await this.#run('suspect', id, token));
  }

  /**
   * After this, the media-sender plays nothing of what it hosted before.
   * @returns `false` when it has given a sign of life since it was suspected.
   */
  async condemn(id: string, suspicion: string): Promise<boolean> {
    return (await this.#run('condemn', id, suspicion)) === 1;
  }

  /** @returns `false` when the media-sender has come back since it was condemned. */
  async forgetCondemned(id: string): Promise<boolean> {
    if ((await this.#run('forgetCondemned', id)) === 0) return false;
    await this.#redis.zrem(keys.senderIndex, id);
    return true;
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
    const ids = await this.known();
    return Promise.all(ids.map(async (id) => ({ id, record: await this.get(id) })));
  }

  /** For a media-sender that ends by itself. */
  async forget(id: string): Promise<void> {
    await this.#redis.unlink(keys.sender(id), keys.senderFence(id));
    await this.#redis.zrem(keys.senderIndex, id);
  }

  /** Which of them have a process that is connected. `undefined` on a cluster: a node knows only its own subscribers. */
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
    return this.#redis.eval(SCRIPTS[script], 2, keys.sender(id), keys.senderFence(id), ...args);
  }
}
