import type { QueuedSegment } from '@humancast/protocol';
import {
  type Logger,
  type MediaStore,
  retry,
  type SegmentManifest,
  type SessionRegistry,
  unlessUnreadable,
} from '@humancast/shared';
import type { Clip } from '../playout/clip.js';
import type { SessionPlayer } from '../playout/session-player.js';
import { Coalescer } from './coalescer.js';
import type { SpeechTraces } from './speech-traces.js';

/** Delay between attempts to read from an unreachable store, or to find missing media. */
const RETRY_MS = 250;

export interface SpeechQueueOptions {
  session: string;
  /** Everything up to this seq had been interrupted when the session was claimed. */
  interruptedSeq: number;
  registry: Pick<SessionRegistry, 'playQueue'>;
  store: Pick<MediaStore, 'getManifest'>;
  player: Pick<SessionPlayer, 'drop' | 'enqueue' | 'interrupt'>;
  traces: SpeechTraces;
  openClip: (manifest: SegmentManifest) => Clip;
  /**
   * Called for a queued segment that will not play: it was interrupted before it was fetched, or its media is missing or
   * broken.
   */
  onSkipped: (queued: QueuedSegment, reason: 'dropped' | 'failed') => void;
  onInterrupted: (seq: number) => void;
  /** Called with the session's idle state whenever it is read. */
  onState: (state: string) => void;
  onError: (error: unknown) => void;
  /** Monotonic clock. */
  nowMs: () => number;
  /** Maximum wait for missing media, ms. */
  missingMediaMs: number;
  /** Aborted when the session stops here. */
  signal: AbortSignal;
  logger: Logger;
}

/** Fetches the segments of a session's queue, in order, and hands them to the player. */
export class SpeechQueue {
  readonly #options: SpeechQueueOptions;
  readonly #sync = new Coalescer(() => this.#read());
  #interruptedSeq: number;
  #fetchedSeq = 0;
  /** Deadline of each missing segment, monotonic ms, by seq. */
  #missingUntilMs = new Map<number, number>();
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(options: SpeechQueueOptions) {
    this.#options = options;
    this.#interruptedSeq = options.interruptedSeq;
    options.player.interrupt(options.interruptedSeq);
  }

  /** Everything in the session's queue up to this seq has been fetched. */
  get fetchedSeq(): number {
    return this.#fetchedSeq;
  }

  /** Reads the session's queue and fetches what is new. */
  sync(): Promise<void> {
    return this.#sync.run();
  }

  /** Interrupts everything up to `seq`; an older interruption changes nothing. */
  interrupt(seq: number): void {
    if (seq < this.#interruptedSeq) return;
    this.#interruptedSeq = seq;
    this.#options.onInterrupted(seq);
    this.#options.player.interrupt(seq);
  }

  /** Cancels the next attempt to fetch a missing segment. */
  cancelRetry(): void {
    clearTimeout(this.#retryTimer);
  }

  /**
   * Fetches one segment after the other, so that a later one that is read faster does not play first. Stops at a missing
   * segment and retries soon, so that nothing else waits for it.
   */
  async #read(): Promise<void> {
    clearTimeout(this.#retryTimer);
    const { session, registry, signal, logger } = this.#options;
    const fetchedSeq = this.#fetchedSeq;
    const playQueue = await untilAnswered(() => registry.playQueue(session), signal, logger);
    if (!playQueue) return;
    this.#options.onState(playQueue.idleState);
    if (playQueue.interruptedSeq > this.#interruptedSeq) this.interrupt(playQueue.interruptedSeq);
    this.#dropDeleted(playQueue.queue, fetchedSeq);
    const unfetched = playQueue.queue.filter(({ seq }) => seq > fetchedSeq);
    this.#setDeadlines(unfetched);
    for (const queued of unfetched) {
      if (!(await this.#fetch(queued))) break;
      if (signal.aborted) return;
      this.#fetchedSeq = queued.seq;
    }
  }

  /**
   * Gives all segments that are queued now the same deadline, so that ten missing ones delay the queue no longer than one.
   */
  #setDeadlines(unfetched: readonly QueuedSegment[]): void {
    const { nowMs, missingMediaMs } = this.#options;
    const untilMs = nowMs() + missingMediaMs;
    this.#missingUntilMs = new Map(
      unfetched.map(({ seq }) => [seq, this.#missingUntilMs.get(seq) ?? untilMs] as const),
    );
  }

  /** @returns `false` if the segment has to be fetched again; `true` if it was handed to the player or skipped. */
  async #fetch({ seq, segment }: QueuedSegment): Promise<boolean> {
    const { signal, openClip, onSkipped, onError } = this.#options;
    const manifest = seq <= this.#interruptedSeq ? 'missing' : await this.#manifestOf(segment);
    if (signal.aborted) return true;
    // The interruption may have come while the manifest was read.
    if (seq <= this.#interruptedSeq) {
      onSkipped({ seq, segment }, 'dropped');
      return true;
    }
    if (manifest === 'unanswered' || (manifest === 'missing' && this.#isAwaited(seq))) {
      this.#retryTimer = setTimeout(() => this.sync().catch(onError), RETRY_MS);
      return false;
    }
    if (manifest !== 'missing' && manifest.state !== 'failed') this.#enqueue(seq, openClip(manifest));
    else onSkipped({ seq, segment }, 'failed');
    return true;
  }

  /** A missing segment may come back soon: an emptied media store is filled again from the watched folder. */
  #isAwaited(seq: number): boolean {
    return this.#options.nowMs() < (this.#missingUntilMs.get(seq) ?? 0);
  }

  /** A fetched segment that left the queue without being reported as finished was deleted. */
  #dropDeleted(queue: readonly QueuedSegment[], fetchedSeq: number): void {
    const queued = new Set(queue.map(({ seq }) => seq));
    this.#options.player.drop((seq) => seq <= fetchedSeq && !queued.has(seq));
  }

  #enqueue(seq: number, clip: Clip): void {
    const { traces, player } = this.#options;
    traces.fetched(seq, clip);
    player.enqueue({ seq, clip });
    traces.loaded(); // all of it may be in memory
  }

  async #manifestOf(segment: string): Promise<SegmentManifest | 'missing' | 'unanswered'> {
    const { store, logger } = this.#options;
    try {
      return (await store.getManifest(segment).catch(unlessUnreadable)) ?? 'missing';
    } catch (error) {
      logger.warn({ segment, err: (error as Error).message }, 'reading manifest failed, retrying');
      return 'unanswered';
    }
  }
}

/** Repeats a read while Redis is unreachable or full. @returns `undefined` once the signal is aborted. */
export async function untilAnswered<T>(
  read: () => Promise<T>,
  signal: AbortSignal,
  logger: Logger,
): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  return retry(read, {
    firstDelayMs: RETRY_MS,
    signal,
    onError: (error) => logger.warn({ err: (error as Error).message }, 'reading session failed, retrying'),
  }).catch((error: unknown) => {
    if (signal.aborted) return undefined;
    throw error;
  });
}
