import { setTimeout as delay } from 'node:timers/promises';
import type { ErrorCode } from '@humancast/protocol';
import {
  type AvatarStore,
  type Clock,
  type HumancastError,
  type Logger,
  type MediaStore,
  pendingRenditions,
  type SegmentManifest,
  unlessUnreadable,
} from '@humancast/shared';
import { type Failure, failureOf } from '../library/load-failure.js';
import type { LoadQueue } from '../loading/load-queue.js';
import type { LoaderMetrics } from '../metrics.js';
import type { UnfinishedWork } from '../retention/deletion.js';
import type { SegmentArchive } from '../retention/segment-archive.js';
import { encodeLadder, type LadderLimits, ladderRuns } from './encode-ladder.js';

/** Attempts before a segment does without its further renditions. */
const MAX_ATTEMPTS = 6;
/** Interval of looking for segments that another process has left unfinished, ms. */
const LOOK_INTERVAL_MS = 60_000;
/** Segments in progress or waiting; the next look finds the others. */
const MAX_WAITING = 1000;

export interface LaddersParts {
  readonly store: MediaStore;
  readonly avatars: Pick<AvatarStore, 'ids'>;
  readonly archive: Pick<SegmentArchive, 'keep'>;
  readonly queue: LoadQueue;
  readonly limits: LadderLimits;
  readonly metrics: Pick<LoaderMetrics, 'renditionFailures'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Work {
  readonly avatar: string;
  readonly abort: AbortController;
  ended: Promise<void>;
}

/**
 * Completes segments that can be played already: encodes the further renditions of their ladders, retries what may succeed
 * later, and records what cannot be encoded. What is to be done is stored with each segment, so it is found again after a
 * crash, a restoration from the archive, or a loss of the connection.
 */
export class Ladders implements UnfinishedWork {
  readonly #parts: LaddersParts;
  readonly #work = new Map<string, Work>();
  #timer: NodeJS.Timeout | undefined;
  #looking = false;
  #closed = false;

  constructor(parts: LaddersParts) {
    this.#parts = parts;
  }

  /** Number of segments whose further renditions are being encoded or wait for that. */
  get waiting(): number {
    return this.#work.size;
  }

  /** Encodes what a segment lacks, in turn; no effect if that is under way. */
  add(manifest: SegmentManifest): void {
    const { id, avatar } = manifest;
    if (this.#closed || this.#work.has(id) || this.#work.size >= MAX_WAITING) return;
    if (manifest.state !== 'complete' || pendingRenditions(manifest).length === 0) return;
    const work: Work = { avatar, abort: new AbortController(), ended: Promise.resolve() };
    this.#work.set(id, work);
    work.ended = this.#complete(id, work.abort.signal).finally(() => this.#work.delete(id));
  }

  /** Looks for unfinished segments now, and from then on at intervals. */
  look(): void {
    if (this.#closed || this.#looking) return;
    clearTimeout(this.#timer);
    this.#looking = true;
    this.#addUnfinished()
      .catch((error: unknown) => {
        this.#parts.logger.warn({ err: (error as Error).message }, 'cannot look for unfinished segments, retrying');
      })
      .finally(() => {
        this.#looking = false;
        if (!this.#closed) this.#timer = setTimeout(() => this.look(), LOOK_INTERVAL_MS);
      });
  }

  async discard({ avatar, segment }: { avatar: string; segment?: string }, reason: HumancastError): Promise<void> {
    const affected = [...this.#work].filter(([id, work]) =>
      segment === undefined ? work.avatar === avatar : id === segment,
    );
    await Promise.all(affected.map(([, work]) => stop(work, reason)));
  }

  /** Abandons what is under way; the next process continues. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const stopping = new Error('the service is stopping');
    await Promise.all([...this.#work.values()].map((work) => stop(work, stopping)));
  }

  async #addUnfinished(): Promise<void> {
    const { store, avatars } = this.#parts;
    for (const avatar of await avatars.ids()) {
      for (const { id, unfinished } of await store.list(avatar)) {
        if (!unfinished || this.#work.has(id)) continue;
        const manifest = await store.getManifest(id).catch(unlessUnreadable);
        if (manifest) this.add(manifest);
      }
    }
  }

  /** Never rejects. */
  async #complete(id: string, signal: AbortSignal): Promise<void> {
    const { queue, clock, logger } = this.#parts;
    let failure: Failure | undefined;
    try {
      for (;;) {
        try {
          return await queue.run('ladder', () => this.#encode(id, signal), signal);
        } catch (error) {
          signal.throwIfAborted();
          failure = failureOf(error, failure, clock.nowMs());
          const { code, message, count, retryAtMs } = failure;
          if (retryAtMs === undefined || count >= MAX_ATTEMPTS) return await this.#giveUp(id, code, message);
          logger.warn(
            { segment: id, code, detail: message, attempt: count },
            'further renditions not encoded, retrying',
          );
          await delay(retryAtMs - clock.nowMs(), undefined, { signal });
        }
      }
    } catch (error) {
      if (!signal.aborted) logger.error({ segment: id, err: error }, 'further renditions not encoded');
    }
  }

  async #encode(id: string, signal: AbortSignal): Promise<void> {
    const { store, archive, limits, logger } = this.#parts;
    const startedMs = performance.now();
    let manifest = await store.getManifest(id);
    let runs = 0;
    for (const run of manifest ? ladderRuns(manifest) : []) {
      if (!manifest) break;
      manifest = await encodeLadder(store, manifest, run, limits, signal);
      runs++;
    }
    const usage = manifest && (await store.usage(id));
    if (!manifest || !usage || runs === 0) return;
    const renditions = manifest.renditions.length;
    logger.info(
      { segment: id, renditions, ms: Math.round(performance.now() - startedMs) },
      'further renditions encoded',
    );
    // A library segment is loaded again from its file.
    if (manifest.source !== 'library') await archive.keep(manifest, usage.retention);
  }

  async #giveUp(id: string, code: ErrorCode, message: string): Promise<void> {
    const { store, metrics, logger } = this.#parts;
    const manifest = await store.getManifest(id);
    if (!manifest) return;
    const failed = pendingRenditions(manifest).map((each) => ({ ...each, failure: { code, message } }));
    await store.putRenditions(id, [], failed);
    metrics.renditionFailures.inc({ code }, failed.length);
    logger.warn(
      { segment: id, code, detail: message, renditions: failed.length },
      'segment is played without renditions',
    );
  }
}

async function stop({ abort, ended }: Work, reason: Error): Promise<void> {
  abort.abort(reason);
  await ended;
}
