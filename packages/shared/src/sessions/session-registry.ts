import type { QueuedSegment } from '@humancast/protocol';
import {
  ERRORS,
  type ErrorCode,
  type SessionEvent,
  type SessionEventBody,
  sessionEventSchema,
} from '@humancast/protocol';
import { HumancastError } from '../humancast-error.js';
import type { Command } from '../idempotency.js';
import { eventsChannel, keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import type { Redis } from '../redis.js';
import type { Page } from '../stream-feed.js';
import { compareStreamIds } from '../stream-id.js';
import { SCRIPTS, type ScriptName } from './scripts.js';
import {
  type Playhead,
  type SessionRecord,
  sessionRecordSchema,
  type ViewerRecord,
  viewerRecordSchema,
} from './session.js';

/** A session still without a host after this long is asked for again. */
const REQUEST_RETRY_MS = 3000;

/** As much of a session as says whose media it may have queued. */
export interface SessionOutline {
  readonly id: string;
  readonly avatar: string;
}

export interface SessionBelonging {
  readonly id: string;
  readonly avatar: string;
  /** The name of the API key that made it; `undefined` for a demo session. */
  readonly owner: string | undefined;
}

export interface HostedAt {
  /** The media-sender that hosts the session now, if any: the one to tell. */
  host: string | undefined;
}

/**
 * Sessions as all services see them. Whatever two callers could do at once is decided inside one script, and everything a
 * host writes names its epoch and is refused once that is over.
 *
 * The order "write, then read who hosts" here, and "claim, then read what is written" at the host, makes sure that nothing
 * falls between two hosts.
 */
export class SessionRegistry {
  readonly #redis: Redis;
  readonly #now: () => number;

  constructor(redis: Redis, now: () => number = Date.now) {
    this.#redis = redis;
    this.#now = now;
  }

  /**
   * @param options.command the request, whose key the id was made of: the same again changes nothing.
   * @returns whether it is new.
   * @throws HumancastError `idempotency_key_reused`.
   */
  async create(
    id: string,
    avatar: string,
    options: { demo?: boolean; owner?: string | undefined; command?: Command | undefined } = {},
  ): Promise<boolean> {
    const { demo = false, owner = '', command } = options;
    await this.#redis.zadd(keys.sessionIndex, 'NX', String(this.#now()), id);
    const args = [this.#now(), avatar, demo ? 1 : 0, owner, command?.fingerprint ?? ''];
    return (await this.#run('create', id, ...args)) === 2;
  }

  /** Whether this command was carried out, and its answer is still known. */
  async isDone(id: string, { key }: Command): Promise<boolean> {
    return (await this.#redis.hexists(keys.sessionCommands(id), `key:${key}`)) === 1;
  }

  async exists(id: string): Promise<boolean> {
    return (await this.#redis.exists(keys.session(id))) === 1;
  }

  /** @throws HumancastError `session_not_found`, `record_unreadable`. */
  async get(id: string): Promise<SessionRecord> {
    const row = await this.#redis.hgetall(keys.session(id));
    if (!exists(row)) throw new HumancastError('session_not_found', `no session has the id ${id}`);
    return requireRecord('session', id, sessionRecordSchema, { ...row, id });
  }

  /**
   * Returns whose a session is, also of one that this version cannot read any further: it must be possible to end it.
   * @throws HumancastError `session_not_found`.
   */
  async belonging(id: string): Promise<SessionBelonging> {
    const [avatar, owner] = await this.#redis.hmget(keys.session(id), 'avatar', 'owner');
    if (avatar === null || avatar === undefined) {
      throw new HumancastError('session_not_found', `no session has the id ${id}`);
    }
    return { id, avatar, owner: owner || undefined };
  }

  /** Every session that has not ended, also those that this version cannot read any further; in no order. */
  async outlines(): Promise<SessionOutline[]> {
    const ids = await this.#redis.zrange(keys.sessionIndex, '0', '-1');
    const rows = await Promise.all(
      ids.map(async (id) => ({ id, fields: await this.#redis.hmget(keys.session(id), 'avatar', 'state') })),
    );
    return rows.flatMap(({ id, fields: [avatar, state] }) => (avatar && state !== 'ended' ? [{ id, avatar }] : []));
  }

  /** Newest first; without those that have ended, and those that this version cannot read. */
  async list(): Promise<SessionRecord[]> {
    const ids = await this.#redis.zrange(keys.sessionIndex, '0', '-1', 'REV');
    // Not a pipeline: on a cluster they lie on different nodes. They leave in one go all the same.
    const rows = await Promise.all(
      ids.map(async (id): Promise<Row & { id: string }> => ({ ...(await this.#redis.hgetall(keys.session(id))), id })),
    );
    // A session's index entry is made before its record; only entries that had time to get one are swept.
    const gone = rows.filter((row) => !exists(row) || row['state'] === 'ended').map(({ id }) => id);
    if (gone.length > 0) await this.#sweep(gone);
    return rows
      .filter(({ id }) => !gone.includes(id))
      .flatMap((row) => readRecord('session', row.id, sessionRecordSchema, row) ?? []);
  }

  async count(): Promise<number> {
    return this.#redis.zcard(keys.sessionIndex);
  }

  /** → the epoch to put a job on the `sessions` queue for, if one is needed. @throws `session_not_found`, `session_ended`. */
  async requestHost(id: string): Promise<number | undefined> {
    const epoch = await this.#run('requestHost', id, this.#now(), REQUEST_RETRY_MS);
    return Number(epoch) || undefined;
  }

  /** The job for this epoch was taken by somebody who never claimed it. → the epoch to put a new job for, if so. */
  async supersede(id: string, epoch: number): Promise<number | undefined> {
    return Number(await this.#run('supersede', id, this.#now(), epoch)) || undefined;
  }

  /** → whether `host` has the right to host under this epoch. */
  async claim(id: string, epoch: number, host: string): Promise<boolean> {
    return (await this.#run('claim', id, this.#now(), epoch, host, eventsChannel(id))) === 1;
  }

  /** After a time in which this host's signs of life did not get through. → whether it still has the right to host. */
  async resume(id: string, epoch: number, host: string): Promise<boolean> {
    return (await this.#run('resume', id, epoch, host)) === 1;
  }

  /**
   * → the epoch to put a new job for, if `host` hosted it (under `epoch`, if given).
   * @param resumptions as read before the host was found dead: one that has come back since keeps the session.
   */
  async release(id: string, host: string, epoch?: number, resumptions?: number): Promise<number | undefined> {
    return Number(await this.#run('release', id, this.#now(), host, epoch ?? '', resumptions ?? '')) || undefined;
  }

  /**
   * Queues segments in order. With `interrupt` everything queued before is over: it leaves the queue at once and is reported as
   * finished, by the host where one may be playing it.
   * @param options.command the same again is not done again, and is answered the same.
   * @throws `session_not_found`, `session_ended`, `queue_full`, `idempotency_key_reused`.
   */
  async speak(
    id: string,
    segments: readonly string[],
    options: { interrupt?: boolean; limit?: number; command?: Command | undefined } = {},
  ) {
    const { interrupt = false, limit = 500, command } = options;
    const args = [this.#now(), eventsChannel(id), ...once(command), limit, interrupt ? 1 : 0, ...segments];
    const [first, interruptedSeq, host] = (await this.#run('speak', id, ...args)) as [number, number, string];
    const queued: QueuedSegment[] = segments.map((segment, i) => ({ seq: first + i, segment }));
    return { queued, interruptedSeq, host: host || undefined };
  }

  /**
   * Everything queued up to now is over, as with `speak`; `session.interrupted` says so even when nothing was queued.
   * @throws `session_not_found`, `session_ended`, `idempotency_key_reused`.
   */
  async interrupt(id: string, command?: Command): Promise<HostedAt & { interruptedSeq: number }> {
    const args = [this.#now(), eventsChannel(id), ...once(command)];
    const [interruptedSeq, host] = (await this.#run('interrupt', id, ...args)) as [number, string];
    return { interruptedSeq, host: host || undefined };
  }

  /** What a host has to follow: up to which seq everything is over, and what else is queued. */
  async playQueue(id: string): Promise<{ interruptedSeq: number; queue: QueuedSegment[] }> {
    // In this order: what is read as queued after the interruption was queued after it.
    const interruptedSeq = Number((await this.#redis.hget(keys.session(id), 'interrupted')) ?? 0);
    return { interruptedSeq, queue: await this.queue(id) };
  }

  /** Segments not yet over, in order. */
  async queue(id: string): Promise<QueuedSegment[]> {
    const rows = await this.#redis.hgetall(keys.sessionQueue(id));
    return Object.entries(rows)
      .map(([seq, segment]) => ({ seq: Number(seq), segment }))
      .sort((a, b) => a.seq - b.seq);
  }

  /**
   * → `false` when the epoch is over: the caller hosts no more and must stop. Same for the three below.
   * @param number grows with each event of an epoch; then saying it again, when the answer was lost, changes nothing.
   */
  async emit(id: string, epoch: number, body: SessionEventBody, number?: number): Promise<boolean> {
    const text = JSON.stringify(body);
    return (await this.#run('emit', id, this.#now(), eventsChannel(id), epoch, text, number ?? '')) === 1;
  }

  async speechStarted(id: string, epoch: number, item: QueuedSegment): Promise<boolean> {
    const body: SessionEventBody = { type: 'speech.started', ...item };
    return (
      (await this.#run('started', id, this.#now(), eventsChannel(id), epoch, JSON.stringify(body), item.seq)) === 1
    );
  }

  async speechFinished(
    id: string,
    epoch: number,
    body: Extract<SessionEventBody, { type: 'speech.finished' }>,
  ): Promise<boolean> {
    return (
      (await this.#run('finished', id, this.#now(), eventsChannel(id), epoch, JSON.stringify(body), body.seq)) === 1
    );
  }

  async savePlayhead(id: string, epoch: number, playhead: Playhead): Promise<boolean> {
    return (await this.#run('savePlayhead', id, epoch, JSON.stringify(playhead))) === 1;
  }

  /** A viewer came, or wants a new connection. @throws `session_not_found`, `session_ended`, `viewer_limit`. */
  async putViewer(
    id: string,
    viewer: string,
    mailbox: string,
    options: { limit: number; offer?: string; traceparent?: string | undefined },
  ): Promise<HostedAt & { attempt: number }> {
    const { limit, offer = '', traceparent = '' } = options;
    const reply = await this.#run('putViewer', id, viewer, limit, mailbox, this.#now(), offer, traceparent);
    const [attempt, host] = reply as [number, string];
    return { attempt, host: host || undefined };
  }

  /** → whether the viewer is (still) there, and where it was reached before. */
  async moveViewer(
    id: string,
    viewer: string,
    mailbox: string,
  ): Promise<HostedAt & { found: boolean; from: string | undefined }> {
    const [found, host, from] = (await this.#run('moveViewer', id, viewer, mailbox)) as [number, string, string];
    return { found: found === 1, host: host || undefined, from: from || undefined };
  }

  /** With a mailbox, only while the viewer is reached there: a refreshed page has moved on. */
  async removeViewer(id: string, viewer: string, mailbox = ''): Promise<HostedAt & { removed: boolean }> {
    const [removed, host] = (await this.#run('removeViewer', id, viewer, mailbox, '', '')) as [number, string];
    return { removed: removed === 1, host: host || undefined };
  }

  /**
   * The host has waited in vain for this attempt of a viewer; one that has made another since stays.
   * @returns `false` when the epoch is over, as the writes above.
   */
  async viewerGone(id: string, epoch: number, viewer: string, attempt: number): Promise<boolean> {
    const reply = (await this.#run('removeViewer', id, viewer, '', epoch, attempt)) as [number, string, number];
    return reply[2] === 1;
  }

  async viewers(id: string): Promise<ViewerRecord[]> {
    const rows = await this.#redis.hgetall(keys.sessionViewers(id));
    return Object.entries(rows).flatMap(([viewer, row]) => readRecord('viewer', viewer, viewerRecordSchema, row) ?? []);
  }

  /**
   * Takes a deleted segment out of the session's queue. Each of its places is reported as `speech.finished` with the cause
   * `segment_deleted`; the host stops what it plays of it when it reads its queue again.
   * @returns how many places it had in the queue.
   */
  async dropSegment(id: string, segment: string): Promise<number> {
    const [places] = (await this.#run('dropSegment', id, this.#now(), eventsChannel(id), segment)) as [number, string];
    return places;
  }

  /** → whether it ended by this call. @throws `session_not_found`. */
  async end(id: string, reason: string, epoch?: number): Promise<HostedAt & { ended: boolean }> {
    const [ended, host] = (await this.#run('end', id, this.#now(), eventsChannel(id), reason, epoch ?? '')) as [
      number,
      string,
    ];
    if (ended === 1) await this.#redis.zrem(keys.sessionIndex, id);
    return { ended: ended === 1, host: host || undefined };
  }

  /** @returns what {@link eventPage} has. */
  async events(id: string, afterId: string, limit = 500): Promise<readonly SessionEvent[]> {
    return (await this.eventPage(id, afterId, limit)).entries;
  }

  /**
   * Events after `afterId` (a stream id; `0` = from the beginning), oldest first; those that cannot be read are passed over. In
   * place of events that are no longer kept there is `events.missed`.
   */
  async eventPage(id: string, afterId: string, limit: number): Promise<Page<SessionEvent>> {
    // In one transaction: what is trimmed between two reads would go missing unsaid.
    const replies = await this.#redis
      .multi()
      .xrange(keys.sessionEvents(id), `(${afterId}`, '+', 'COUNT', limit)
      .hmget(keys.session(id), 'missed', 'missedViewers')
      .exec();
    const [rows, marks] = valuesOf(replies) as [[string, string[]][], (string | null)[]];
    const more = rows.length === limit;
    const lastId = rows.at(-1)?.[0] ?? afterId;
    const entries = rows.flatMap(([eventId, fields]) => toEvent(id, eventId, fields) ?? []);
    const scopes = ['all', 'viewers'] as const;
    const missed = scopes.flatMap((scope, i): SessionEvent[] => {
      const throughId = marks[i] ?? '0';
      const isHere = compareStreamIds(throughId, afterId) > 0 && (!more || compareStreamIds(throughId, lastId) <= 0);
      const place = { id: throughId, session: id, atMs: this.#now() };
      return isHere ? [{ type: 'events.missed', afterId, throughId, scope, ...place }] : [];
    });
    if (missed.length === 0) return { entries, lastId, more };
    // Where the missing ones would be, so that a reader that goes on after any of these misses nothing else.
    const all = [...missed, ...entries].sort((a, b) => compareStreamIds(a.id, b.id));
    return { entries: all, lastId: laterOf(lastId, all.at(-1)?.id ?? lastId), more };
  }

  /** Segments that the session has begun to say, newest first, as far as its last `limit` events tell. */
  async lastSaid(id: string, limit = 500): Promise<string[]> {
    const entries = await this.#redis.xrevrange(keys.sessionEvents(id), '+', '-', 'COUNT', limit);
    return entries.flatMap(([, fields]) => {
      const body = (parseJson(fields[1] ?? '') ?? {}) as { type?: unknown; segment?: unknown };
      return body.type === 'speech.started' && typeof body.segment === 'string' ? [body.segment] : [];
    });
  }

  async lastEventId(id: string): Promise<string> {
    const [entry] = await this.#redis.xrevrange(keys.sessionEvents(id), '+', '-', 'COUNT', 1);
    return entry?.[0] ?? '0';
  }

  async #sweep(ids: readonly string[]): Promise<void> {
    const old = this.#now() - 60_000;
    for (const id of ids) {
      const since = await this.#redis.zscore(keys.sessionIndex, id);
      if (since !== null && Number(since) < old) await this.#redis.zrem(keys.sessionIndex, id);
    }
  }

  async #run(script: ScriptName, id: string, ...args: (string | number)[]): Promise<unknown> {
    const { session, sessionQueue, sessionViewers, sessionEvents, sessionCommands, sessionViewerEvents } = keys;
    const names = [session, sessionQueue, sessionViewers, sessionEvents, sessionCommands, sessionViewerEvents];
    const sessionKeys = names.map((nameOf) => nameOf(id));
    const reply = await this.#redis.eval(SCRIPTS[script], sessionKeys.length, ...sessionKeys, ...args);
    if (typeof reply === 'string' && reply in ERRORS) throw new HumancastError(reply as ErrorCode);
    return reply;
  }
}

function laterOf(a: string, b: string): string {
  return compareStreamIds(a, b) > 0 ? a : b;
}

/** @throws Error the first one of a transaction. */
function valuesOf(replies: readonly [error: Error | null, value: unknown][] | null): unknown[] {
  return (replies ?? []).map(([error, value]) => {
    if (error) throw error;
    return value;
  });
}

type Row = Readonly<Record<string, string>>;

function exists(row: Row): boolean {
  return row['avatar'] !== undefined;
}

function toEvent(session: string, id: string, fields: readonly string[]): SessionEvent | undefined {
  const body = parseJson(fields[1] ?? '');
  const type = typeof body === 'object' && body !== null && 'type' in body ? String(body.type) : 'garbage';
  const stored = typeof body === 'object' ? { ...body, id, session, atMs: Number(fields[3]) } : undefined;
  return readRecord('event', type, sessionEventSchema, stored);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** As scripts take it. */
function once(command: Command | undefined): (string | number)[] {
  return command ? [command.key, command.fingerprint, command.ttlMs] : ['', '', 0];
}
