import type { BargeIn, QueuedSegment } from '@humancast/protocol';
import {
  ERRORS,
  type ErrorCode,
  IDLE_STATE,
  type SessionEvent,
  type SessionEventBody,
  sessionEventSchema,
} from '@humancast/protocol';
import { HumancastError } from '../humancast-error.js';
import type { Command } from '../idempotency.js';
import { eventsChannel, keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import { type Redis, runScript } from '../redis.js';
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

/** Number of viewers read at once. */
const READ_BATCH = 500;
/** Time after which a session without a host is queued again. */
const REQUEST_RETRY_MS = 3000;

/** The keys of a session's scripts, in their order. */
const SESSION_KEYS = [
  keys.session,
  keys.sessionQueue,
  keys.sessionViewers,
  keys.sessionEvents,
  keys.sessionCommands,
  keys.sessionViewerEvents,
  keys.sessionFollowers,
  keys.sessionPlacements,
];

/** The subset of a session that determines whose media it may queue. */
export interface SessionOutline {
  readonly id: string;
  readonly avatar: string;
}

export interface SessionBelonging {
  readonly id: string;
  readonly avatar: string;
  /** Name of the API key that created the session; `undefined` for a demo session. */
  readonly owner: string | undefined;
}

export interface HostedAt {
  /** The media-sender that currently hosts the session, if any. */
  host: string | undefined;
}

export interface ServedAt {
  /** The media-sender that serves the viewer: the follower it is placed on, else the session's host, if any. */
  sender: string | undefined;
}

/**
 * Sessions as shared by all services. Concurrent updates are resolved inside one script each. All writes of a host carry its
 * epoch and are rejected once that epoch is over.
 *
 * Writers "write, then read the host", and hosts "claim, then read what was written", so that no update is missed during a
 * change of host.
 */
export class SessionRegistry {
  readonly #redis: Redis;
  readonly #now: () => number;

  constructor(redis: Redis, now: () => number = Date.now) {
    this.#redis = redis;
    this.#now = now;
  }

  /**
   * @param options.command The request whose key the ID was derived from; repeating it changes nothing.
   * @returns Whether the session is new.
   * @throws HumancastError `idempotency_key_reused`.
   */
  async create(
    id: string,
    avatar: string,
    options: { demo?: boolean; owner?: string | undefined; bargeIn?: BargeIn; command?: Command | undefined } = {},
  ): Promise<boolean> {
    const { demo = false, owner = '', bargeIn = 'off', command } = options;
    await this.#redis.zadd(keys.sessionIndex, 'NX', String(this.#now()), id);
    const args = [this.#now(), avatar, demo ? 1 : 0, owner, command?.fingerprint ?? '', bargeIn];
    return (await this.#run('create', id, ...args)) === 2;
  }

  /** @returns Whether this command was executed and its answer is still known. */
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
   * @returns The owner of a session, even if this version cannot read the rest of it, so that it can be ended.
   * @throws HumancastError `session_not_found`.
   */
  async belonging(id: string): Promise<SessionBelonging> {
    const [avatar, owner] = await this.#redis.hmget(keys.session(id), 'avatar', 'owner');
    if (avatar === null || avatar === undefined) {
      throw new HumancastError('session_not_found', `no session has the id ${id}`);
    }
    return { id, avatar, owner: owner || undefined };
  }

  /** @returns All sessions that have not ended, including unreadable ones, in no particular order. */
  async outlines(): Promise<SessionOutline[]> {
    const ids = await this.#redis.zrange(keys.sessionIndex, '0', '-1');
    const rows = await Promise.all(
      ids.map(async (id) => ({ id, fields: await this.#redis.hmget(keys.session(id), 'avatar', 'state') })),
    );
    return rows.flatMap(({ id, fields: [avatar, state] }) => (avatar && state !== 'ended' ? [{ id, avatar }] : []));
  }

  /** @returns Readable sessions that have not ended, newest first. */
  async list(): Promise<SessionRecord[]> {
    const ids = await this.#redis.zrange(keys.sessionIndex, '0', '-1', 'REV');
    // These are not one pipeline, because on a cluster the keys are on different nodes; they are still sent together.
    const rows = await Promise.all(
      ids.map(async (id): Promise<Row & { id: string }> => ({ ...(await this.#redis.hgetall(keys.session(id))), id })),
    );
    // The index entry is created before the record, so only entries that are old enough are swept.
    const endedIds = rows.filter((row) => !exists(row) || row['state'] === 'ended').map(({ id }) => id);
    if (endedIds.length > 0) await this.#sweep(endedIds);
    return rows
      .filter(({ id }) => !endedIds.includes(id))
      .flatMap((row) => readRecord('session', row.id, sessionRecordSchema, row) ?? []);
  }

  async count(): Promise<number> {
    return this.#redis.zcard(keys.sessionIndex);
  }

  /**
   * @returns The epoch for which a job must be added to the `sessions` queue, if needed.
   * @throws HumancastError `session_not_found`, `session_ended`.
   */
  async requestHost(id: string): Promise<number | undefined> {
    const epoch = await this.#run('requestHost', id, this.#now(), REQUEST_RETRY_MS);
    return Number(epoch) || undefined;
  }

  /**
   * Handles a job that was taken but never led to a claim.
   * @returns The epoch for a new job, if needed.
   */
  async supersede(id: string, epoch: number): Promise<number | undefined> {
    return Number(await this.#run('supersede', id, this.#now(), epoch)) || undefined;
  }

  /** @returns Whether `host` may host the session under this epoch. */
  async claim(id: string, epoch: number, host: string): Promise<boolean> {
    return (await this.#run('claim', id, this.#now(), epoch, host, eventsChannel(id))) === 1;
  }

  /**
   * Called after this host's heartbeats failed for a while.
   * @returns Whether it still owns the session.
   */
  async resume(id: string, epoch: number, host: string): Promise<boolean> {
    return (await this.#run('resume', id, epoch, host)) === 1;
  }

  /**
   * @param resumptions The value read before the host was found dead: a host that has resumed since keeps the session.
   * @returns The epoch for a new job, if `host` hosted the session (under `epoch`, if given).
   */
  async release(id: string, host: string, epoch?: number, resumptions?: number): Promise<number | undefined> {
    return Number(await this.#run('release', id, this.#now(), host, epoch ?? '', resumptions ?? '')) || undefined;
  }

  /**
   * Queues segments in order. With `interrupt`, all segments queued before leave the queue at once and are reported as
   * finished; the host reports those it may be playing.
   * @param options.turn The turn for which they were made; default: the current one.
   * @param options.command A repeated command is not executed again and gets the same answer.
   * @returns The session's turn, a new one with `interrupt`.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`, `queue_full`, `idempotency_key_reused`.
   */
  async speak(
    id: string,
    segments: readonly string[],
    options: {
      interrupt?: boolean;
      limit?: number;
      turn?: number | undefined;
      command?: Command | undefined;
    } = {},
  ) {
    const { interrupt = false, limit = 500, turn: stated, command } = options;
    const args = [
      this.#now(),
      eventsChannel(id),
      ...once(command),
      stated ?? '',
      limit,
      interrupt ? 1 : 0,
      ...segments,
    ];
    const reply = (await this.#run('speak', id, ...args)) as [number, number, number, string];
    const [first, interruptedSeq, turn, host] = reply;
    if (first === 0) throw staleTurn(stated, turn);
    const queued: QueuedSegment[] = segments.map((segment, i) => ({ seq: first + i, segment }));
    return { queued, interruptedSeq, turn, host: host || undefined };
  }

  /**
   * Drops everything queued so far and begins a new turn, as `speak` with `interrupt` does; emits `session.interrupted`
   * even if nothing was queued.
   * @param options.turn Interrupts only this turn; default: the current one.
   * @param options.viewer The viewer whose voice interrupts.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`, `idempotency_key_reused`.
   */
  async interrupt(
    id: string,
    options: { turn?: number | undefined; viewer?: string; command?: Command | undefined } = {},
  ): Promise<HostedAt & { interruptedSeq: number; turn: number }> {
    const args = [this.#now(), eventsChannel(id), ...once(options.command), options.turn ?? '', options.viewer ?? ''];
    const [interruptedSeq, turn, host] = (await this.#run('interrupt', id, ...args)) as [number, number, string];
    if (interruptedSeq < 0) throw staleTurn(options.turn, turn);
    return { interruptedSeq, turn, host: host || undefined };
  }

  /**
   * Sets the idle state.
   * @param turn The turn to which the state belongs; default: the current one.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`.
   */
  async setState(id: string, state: string, stated?: number): Promise<HostedAt & { turn: number }> {
    const args = [this.#now(), eventsChannel(id), stated ?? '', state];
    const [isSet, turn, host] = (await this.#run('setState', id, ...args)) as [number, number, string];
    if (isSet === 0) throw staleTurn(stated, turn);
    return { turn, host: host || undefined };
  }

  /**
   * Adds a message between a page and producers.
   * @throws HumancastError `session_not_found`, `session_ended`, `idempotency_key_reused`.
   */
  async message(
    id: string,
    body: Extract<SessionEventBody, { type: 'viewer.message' | 'session.message' }>,
    command?: Command,
  ): Promise<void> {
    await this.#run('message', id, this.#now(), eventsChannel(id), ...once(command), JSON.stringify(body));
  }

  /** @returns The interrupted sequence number, the segments queued after it, and the idle state. */
  async playQueue(id: string): Promise<{ interruptedSeq: number; queue: QueuedSegment[]; idleState: string }> {
    // The order matters: segments read as queued after the interrupt were queued after it.
    const [interrupted, state] = await this.#redis.hmget(keys.session(id), 'interrupted', 'idleState');
    return {
      interruptedSeq: Number(interrupted ?? 0),
      queue: await this.queue(id),
      idleState: state ?? IDLE_STATE,
    };
  }

  /** @returns Unfinished segments in order. */
  async queue(id: string): Promise<QueuedSegment[]> {
    const rows = await this.#redis.hgetall(keys.sessionQueue(id));
    return Object.entries(rows)
      .map(([seq, segment]) => ({ seq: Number(seq), segment }))
      .sort((a, b) => a.seq - b.seq);
  }

  /**
   * @param number Increases with each event of an epoch, so that repeating an event after a lost answer has no effect.
   * @returns `false` if the epoch is over: the caller no longer hosts the session and must stop. The same applies to the
   * three methods below.
   */
  async emit(id: string, epoch: number, body: SessionEventBody, number?: number): Promise<boolean> {
    const isBegin = body.type === 'viewer.speaking';
    const speaker = isBegin || body.type === 'viewer.silent' ? body.viewer : '';
    const args = [this.#now(), eventsChannel(id), epoch, JSON.stringify(body), number ?? '', speaker, isBegin ? 1 : 0];
    return (await this.#run('emit', id, ...args)) === 1;
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

  /**
   * Adds a viewer, or a new connection of one, which stays with its media-sender.
   * @throws HumancastError `session_not_found`, `session_ended`, `viewer_limit`.
   */
  async putViewer(
    id: string,
    viewer: string,
    mailbox: string,
    options: { limit: number; offer?: string; microphone?: boolean; traceparent?: string | undefined },
  ): Promise<ServedAt & { attempt: number }> {
    const { limit, offer = '', microphone = false, traceparent = '' } = options;
    const args = [viewer, limit, mailbox, this.#now(), offer, traceparent, microphone ? 1 : 0];
    const [attempt, sender] = (await this.#run('putViewer', id, ...args)) as [number, string];
    return { attempt, sender: sender || undefined };
  }

  /** @returns Whether the viewer still exists, and its previous mailbox. */
  async moveViewer(
    id: string,
    viewer: string,
    mailbox: string,
  ): Promise<ServedAt & { found: boolean; from: string | undefined }> {
    const [found, sender, from] = (await this.#run('moveViewer', id, viewer, mailbox)) as [number, string, string];
    return { found: found === 1, sender: sender || undefined, from: from || undefined };
  }

  /** @returns Whether `from` was the ICE user name fragment of this WHEP viewer, which is `to` from now on. */
  async restartViewerIce(
    id: string,
    viewer: string,
    from: string,
    to: string,
  ): Promise<ServedAt & { changed: boolean }> {
    const [changed, sender] = (await this.#run('restartViewerIce', id, viewer, from, to)) as [number, string];
    return { changed: changed === 1, sender: sender || undefined };
  }

  /** @param mailbox Removes the viewer only while it is reached there; a reloaded page has moved on. */
  async removeViewer(id: string, viewer: string, mailbox = ''): Promise<ServedAt & { removed: boolean }> {
    const [removed, sender] = (await this.#run('removeViewer', id, viewer, mailbox, '', '', '')) as [number, string];
    return { removed: removed === 1, sender: sender || undefined };
  }

  /**
   * Called by a host whose connection attempt for a viewer timed out; a viewer that has started another attempt since, or was
   * placed on a follower, stays.
   * @returns `false` if the epoch is over.
   */
  async viewerGone(id: string, epoch: number, viewer: string, attempt: number): Promise<boolean> {
    const reply = (await this.#run('removeViewer', id, viewer, '', epoch, attempt, '')) as [number, string, number];
    return reply[2] === 1;
  }

  /** As {@link viewerGone}, called by a follower: removes the viewer while it is placed there. */
  async placedViewerGone(id: string, sender: string, viewer: string, attempt: number): Promise<void> {
    await this.#run('removeViewer', id, viewer, '', '', attempt, sender);
  }

  /**
   * Places a viewer on a media-sender, which follows the session from then on unless it hosts it.
   * @returns Whether the viewer is placed there now: not if it is gone, has made another attempt, or is placed elsewhere.
   */
  async placeViewer(
    id: string,
    viewer: string,
    attempt: number,
    sender: string,
  ): Promise<HostedAt & { placed: boolean; epoch: number }> {
    const reply = await this.#run('placeViewer', id, this.#now(), viewer, attempt, sender);
    const [placed, host, epoch] = reply as [number, string, number];
    return { placed: placed === 1, host: host || undefined, epoch };
  }

  /**
   * Takes all viewers from a dead or leaving follower, so that the host connects or places them again, in a new attempt.
   * @returns How many there were.
   */
  async unplaceViewers(id: string, sender: string): Promise<HostedAt & { viewers: number }> {
    for (let viewers = 0; ; ) {
      const [taken, host, more] = (await this.#run('unplaceViewers', id, sender)) as [number, string, number];
      viewers += taken;
      if (more === 0) return { viewers, host: host || undefined };
    }
  }

  /** @returns Whether the media-sender follows the session no more: not while a viewer is placed there. */
  async leaveSession(id: string, sender: string): Promise<HostedAt & { left: boolean }> {
    const [left, host] = (await this.#run('leaveSession', id, sender)) as [number, string];
    return { left: left === 1, host: host || undefined };
  }

  /** Appends an event of a follower. @returns `false` if it does not follow the session. */
  async emitFollowed(id: string, sender: string, body: SessionEventBody): Promise<boolean> {
    const args = [this.#now(), eventsChannel(id), sender, JSON.stringify(body)];
    return (await this.#run('emitFollowed', id, ...args)) === 1;
  }

  /** @returns The media-senders that follow the session. */
  followers(id: string): Promise<string[]> {
    return this.#redis.hkeys(keys.sessionFollowers(id));
  }

  async follows(id: string, sender: string): Promise<boolean> {
    return (await this.#redis.hexists(keys.sessionFollowers(id), sender)) === 1;
  }

  viewerCount(id: string): Promise<number> {
    return this.#redis.hlen(keys.sessionViewers(id));
  }

  async viewer(id: string, viewer: string): Promise<ViewerRecord | undefined> {
    const row = await this.#redis.hget(keys.sessionViewers(id), viewer);
    return row === null ? undefined : readRecord('viewer', viewer, viewerRecordSchema, row);
  }

  /** @returns All viewers of the session, wherever they are served. */
  async viewers(id: string): Promise<ViewerRecord[]> {
    const rows = await this.#redis.hgetall(keys.sessionViewers(id));
    return Object.entries(rows).flatMap(([viewer, row]) => readRecord('viewer', viewer, viewerRecordSchema, row) ?? []);
  }

  /**
   * Reads about `count` viewers, or all if there are few.
   * @param cursor The result of the previous call; `undefined`: from the beginning.
   * @returns `cursor` is `undefined` at the end. A viewer that is there throughout is returned at least once until then.
   */
  async scanViewers(
    id: string,
    cursor: string | undefined,
    count: number,
  ): Promise<{ viewers: ViewerRecord[]; cursor: string | undefined }> {
    const [next, fields] = await this.#redis.hscan(keys.sessionViewers(id), cursor ?? '0', 'COUNT', count);
    const viewers = fields.flatMap((row, i) =>
      i % 2 === 1 ? (readRecord('viewer', fields[i - 1] ?? '', viewerRecordSchema, row) ?? []) : [],
    );
    return { viewers, cursor: next === '0' ? undefined : next };
  }

  /** @returns The viewers that are placed on a follower. */
  async placedViewers(id: string, sender: string): Promise<ViewerRecord[]> {
    const records: ViewerRecord[] = [];
    for (let min = `[${sender}/`; ; ) {
      // IDs contain no `/`, after which the next character is `0`.
      const max = `(${sender}0`;
      const places = await this.#redis.zrangebylex(keys.sessionPlacements(id), min, max, 'LIMIT', 0, READ_BATCH);
      const last = places.at(-1);
      if (last === undefined) return records;
      const viewers = places.map((place) => place.slice(sender.length + 1));
      const rows = await this.#redis.hmget(keys.sessionViewers(id), ...viewers);
      records.push(
        ...viewers.flatMap((viewer, i) => {
          const row = rows[i] ?? undefined;
          const record = row === undefined ? undefined : readRecord('viewer', viewer, viewerRecordSchema, row);
          return record?.sender === sender ? [record] : [];
        }),
      );
      min = `(${last}`;
    }
  }

  /**
   * Removes a deleted segment from the session's queue. Each occurrence is reported as `speech.finished` with the cause
   * `segment_deleted`; the host stops playing it when it reads its queue again.
   * @returns The number of occurrences.
   */
  async dropSegment(id: string, segment: string): Promise<number> {
    const [places] = (await this.#run('dropSegment', id, this.#now(), eventsChannel(id), segment)) as [number, string];
    return places;
  }

  /**
   * @returns Whether this call ended the session.
   * @throws HumancastError `session_not_found`.
   */
  async end(id: string, reason: string, epoch?: number): Promise<HostedAt & { ended: boolean; followers: string[] }> {
    const reply = await this.#run('end', id, this.#now(), eventsChannel(id), reason, epoch ?? '');
    const [ended, host, followers] = reply as [number, string, string[]];
    if (ended === 1) await this.#redis.zrem(keys.sessionIndex, id);
    return { ended: ended === 1, host: host || undefined, followers };
  }

  /** @returns The events of {@link eventPage}. */
  async events(id: string, afterId: string, limit = 500): Promise<readonly SessionEvent[]> {
    return (await this.eventPage(id, afterId, limit)).entries;
  }

  /**
   * @returns Events after `afterId` (a stream ID; `0` for all), oldest first, without unreadable ones. `events.missed`
   * stands in for events that were trimmed.
   */
  async eventPage(id: string, afterId: string, limit: number): Promise<Page<SessionEvent>> {
    // One transaction, because events trimmed between two reads would be missed silently.
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
    // Placed where the missing events would be, so that a reader that continues after it misses nothing else.
    const all = [...missed, ...entries].sort((a, b) => compareStreamIds(a.id, b.id));
    return { entries: all, lastId: laterOf(lastId, all.at(-1)?.id ?? lastId), more };
  }

  /** @returns Segments that the session has started to speak, newest first, according to its last `limit` events. */
  async recentlySpoken(id: string, limit = 500): Promise<string[]> {
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
    const sessionKeys = SESSION_KEYS.map((nameOf) => nameOf(id));
    const reply = await runScript(this.#redis, SCRIPTS[script], sessionKeys, ...args);
    if (typeof reply === 'string' && reply in ERRORS) throw new HumancastError(reply as ErrorCode);
    return reply;
  }
}

/** @returns The error for a caller whose turn is not the session's. */
export function staleTurn(stated: number | undefined, turn: number): HumancastError {
  return new HumancastError('interrupted', {
    detail: `the session is at turn ${turn}, not ${stated}`,
    extra: { turn },
  });
}

function laterOf(a: string, b: string): string {
  return compareStreamIds(a, b) > 0 ? a : b;
}

/** @throws Error the first error of a transaction. */
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

/** Converts a command to script arguments. */
function once(command: Command | undefined): (string | number)[] {
  return command ? [command.key, command.fingerprint, command.ttlMs] : ['', '', 0];
}
