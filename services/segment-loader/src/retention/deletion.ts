import {
  type AvatarStore,
  type DeletionLog,
  HumancastError,
  type Logger,
  type MailSender,
  type MediaStore,
  type SessionRegistry,
  type ToSender,
} from '@humancast/shared';
import { type DeletionIntent, type DeletionIntents, keyOf } from './deletion-intents.js';
import type { SegmentArchive } from './segment-archive.js';

/** Number of a deleted avatar's segments removed concurrently. */
const BATCH = 50;
/** The `reason` of `session.ended` for sessions of a deleted avatar. */
const AVATAR_DELETED = 'avatar-deleted';

/** Unfinished segments: uploads, live pushes and library loads. */
export interface UnfinishedWork {
  /** Cancels the work on this avatar's segments (or on this one segment), and resolves when none of it writes any more. */
  discard(what: { readonly avatar: string; readonly segment?: string }, reason: HumancastError): Promise<void>;
}

/** Steps of a deletion, in order. */
export type DeletionStep =
  | 'intended'
  | 'avatar-removed'
  | 'forbidden'
  | 'work-ended'
  | 'unarchived'
  | 'unstored'
  | 'sessions-told'
  | 'announced';

export interface DeletionParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'delete'>;
  readonly archive: Pick<SegmentArchive, 'forget' | 'ofAvatar'>;
  readonly intents: DeletionIntents;
  readonly log: Pick<DeletionLog, 'append'>;
  readonly registry: Pick<SessionRegistry, 'outlines' | 'end' | 'dropSegment'>;
  readonly mail: MailSender<ToSender>;
  readonly logger: Logger;
  /** Called after each step; tests end the process here. */
  readonly afterStep?: (step: DeletionStep) => void | Promise<void>;
}

/**
 * Deletes avatars and segments permanently: from redis-media, the archive, the idle playlist, the queues of sessions and the
 * memory of media-senders; sessions of a deleted avatar end. The intent is stored first and every step can be repeated, so
 * {@link completeAll} completes a deletion after a crash.
 */
export class Deletion {
  readonly #parts: DeletionParts;
  readonly #work: UnfinishedWork[] = [];
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: DeletionParts) {
    this.#parts = parts;
  }

  /** Registers unfinished work, which deletions then cancel. */
  watch(work: UnfinishedWork): void {
    this.#work.push(work);
  }

  avatar(avatar: string): Promise<void> {
    return this.#run({ kind: 'avatar', avatar });
  }

  segment(segment: string, avatar: string): Promise<void> {
    return this.#run({ kind: 'segment', segment, avatar });
  }

  /** Completes a pending deletion of this avatar, so that it can be defined again. */
  async settle(avatar: string): Promise<void> {
    for (const intent of await this.#parts.intents.list()) {
      if (intent.avatar === avatar) await this.#run(intent);
    }
  }

  /**
   * Completes all pending deletions, also of earlier processes. @throws if a database is unreachable; call it again later.
   */
  async completeAll(): Promise<void> {
    for (const intent of await this.#parts.intents.list()) await this.#run(intent);
  }

  /** Runs a deletion, or joins the same one if it is running. */
  #run(intent: DeletionIntent): Promise<void> {
    const key = keyOf(intent);
    const running = this.#running.get(key);
    if (running) return running;
    const run = this.#carryOut(intent).finally(() => this.#running.delete(key));
    this.#running.set(key, run);
    return run;
  }

  async #carryOut(intent: DeletionIntent): Promise<void> {
    const { intents, logger } = this.#parts;
    await intents.begin(intent);
    await this.#after('intended');
    const segments = intent.kind === 'avatar' ? await this.#removeAvatar(intent.avatar) : await this.#remove(intent);
    await intents.complete(intent);
    logger.info({ ...intent, segments }, `${intent.kind} deleted`);
  }

  /** @returns The number of segments deleted. */
  async #removeAvatar(avatar: string): Promise<number> {
    const { avatars, store, archive, registry, mail } = this.#parts;
    await avatars.delete(avatar); // from here on, new segments are rejected
    await this.#after('avatar-removed');
    const reason = new HumancastError('avatar_not_found', `the avatar "${avatar}" was deleted`);
    await Promise.all(this.#work.map((work) => work.discard({ avatar }, reason)));
    await this.#after('work-ended');
    await store.setIdlePlaylist(avatar, []);
    await store.setIdleStates(avatar, {});
    const ids = [...new Set([...(await store.ids(avatar)), ...(await archive.ofAvatar(avatar))])];
    for (const { id, avatar: shown } of await registry.outlines()) {
      if (shown !== avatar) continue;
      const { host } = await registry.end(id, AVATAR_DELETED);
      if (host !== undefined) await mail.send(host, { type: 'session.end', session: id, reason: AVATAR_DELETED });
    }
    await this.#after('sessions-told');
    for (let from = 0; from < ids.length; from += BATCH) await this.#removeMedia(ids.slice(from, from + BATCH));
    return ids.length;
  }

  async #remove({ segment, avatar }: { segment: string; avatar: string }): Promise<number> {
    const { store, registry } = this.#parts;
    // A segment that can't be marked because the store is full is marked after its removal.
    await store.forbid(segment).catch(unlessFull);
    await this.#after('forbidden');
    const reason = new HumancastError('segment_not_found', 'the segment was deleted during its load');
    await Promise.all(this.#work.map((work) => work.discard({ avatar, segment }, reason)));
    await this.#after('work-ended');
    for (const session of await registry.outlines()) {
      if (session.avatar === avatar) await registry.dropSegment(session.id, segment);
    }
    await this.#after('sessions-told');
    await this.#removeMedia([segment]);
    return 1;
  }

  async #removeMedia(segments: readonly string[]): Promise<void> {
    const { store, archive, log } = this.#parts;
    await Promise.all(segments.map((segment) => store.forbid(segment).catch(unlessFull)));
    await this.#after('forbidden');
    await archive.forget(segments);
    await this.#after('unarchived');
    await Promise.all(segments.map((segment) => store.delete(segment)));
    await Promise.all(segments.map((segment) => store.forbid(segment)));
    // A copy still being written has read its parts by now, or fails.
    await archive.forget(segments);
    await this.#after('unstored');
    await log.append(segments);
    await this.#after('announced');
  }

  async #after(step: DeletionStep): Promise<void> {
    await this.#parts.afterStep?.(step);
  }
}

function unlessFull(error: unknown): void {
  if (!(error instanceof HumancastError && error.code === 'media_store_full')) throw error;
}
