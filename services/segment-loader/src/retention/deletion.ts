import {
  type AvatarStore,
  type DeletionLog,
  HumancastError,
  type Logger,
  type MediaStore,
  type Post,
  type SessionRegistry,
  type ToSender,
} from '@humancast/shared';
import { type DeletionIntent, type DeletionIntents, keyOf } from './deletion-intents.js';
import type { SegmentArchive } from './segment-archive.js';

/** Segments of a deleted avatar that are removed at once. */
const BATCH = 50;
/** Reason of `session.ended` for the sessions of a deleted avatar. */
const AVATAR_DELETED = 'avatar-deleted';

/** What is still being made of an avatar or a segment: uploads, live pushes, loads from the folder. */
export interface UnfinishedWork {
  /**
   * Gives up what would become a segment of this avatar (or this one segment), and resolves when nothing of it is written any
   * more.
   */
  discard(what: { readonly avatar: string; readonly segment?: string }, reason: HumancastError): Promise<void>;
}

/** The steps of a deletion, in order. */
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
  readonly post: Post<ToSender>;
  readonly logger: Logger;
  /** Called after each step; tests end the process here. */
  readonly afterStep?: (step: DeletionStep) => void | Promise<void>;
}

/**
 * Deletes avatars and segments for good: from redis-media, the archive, the idle playlist, the queues of sessions and the
 * memory of media-senders; a session that plays a deleted avatar ends. The intent is written down first and every step can be
 * repeated, so {@link completeAll} finishes after a crash what was begun before it.
 */
export class Deletion {
  readonly #parts: DeletionParts;
  readonly #work: UnfinishedWork[] = [];
  readonly #running = new Map<string, Promise<void>>();

  constructor(parts: DeletionParts) {
    this.#parts = parts;
  }

  /** Registers what makes segments, so that a deletion ends it. */
  watch(work: UnfinishedWork): void {
    this.#work.push(work);
  }

  avatar(avatar: string): Promise<void> {
    return this.#run({ kind: 'avatar', avatar });
  }

  segment(segment: string, avatar: string): Promise<void> {
    return this.#run({ kind: 'segment', segment, avatar });
  }

  /** Finishes the deletion of this avatar, if one was begun: before it is defined anew. */
  async settle(avatar: string): Promise<void> {
    for (const intent of await this.#parts.intents.list()) {
      if (intent.avatar === avatar) await this.#run(intent);
    }
  }

  /** Finishes what was begun, by this process or one before it. @throws when a database is away; call it again then. */
  async completeAll(): Promise<void> {
    for (const intent of await this.#parts.intents.list()) await this.#run(intent);
  }

  /** Runs a deletion; the same one asked for again meanwhile is awaited. */
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

  /** @returns how many segments went with it. */
  async #removeAvatar(avatar: string): Promise<number> {
    const { avatars, store, archive, registry, post } = this.#parts;
    await avatars.delete(avatar); // from here on nothing new is taken for it
    await this.#after('avatar-removed');
    const reason = new HumancastError('avatar_not_found', `the avatar "${avatar}" was deleted`);
    await Promise.all(this.#work.map((work) => work.discard({ avatar }, reason)));
    await this.#after('work-ended');
    await store.setIdlePlaylist(avatar, []);
    const ids = [...new Set([...(await store.ids(avatar)), ...(await archive.ofAvatar(avatar))])];
    for (const { id, avatar: shown } of await registry.outlines()) {
      if (shown !== avatar) continue;
      const { host } = await registry.end(id, AVATAR_DELETED);
      if (host !== undefined) await post.send(host, { type: 'session.end', session: id, reason: AVATAR_DELETED });
    }
    await this.#after('sessions-told');
    for (let from = 0; from < ids.length; from += BATCH) await this.#removeMedia(ids.slice(from, from + BATCH));
    return ids.length;
  }

  async #remove({ segment, avatar }: { segment: string; avatar: string }): Promise<number> {
    const { store, registry } = this.#parts;
    // As the store may be full, what can't be marked now is marked when it has been removed.
    await store.forbid(segment).catch(unlessFull);
    await this.#after('forbidden');
    const reason = new HumancastError('segment_not_found', 'it was deleted while it was being loaded');
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
    // A copy that was being written meanwhile has read its parts by now, or fails.
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
