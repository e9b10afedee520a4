import { type SegmentJob, Stages, type Tracer } from '@humancast/shared';
import type { Clip } from '../playout/clip.js';

/** Progress of a queued segment until its first packet; times are milliseconds since the Unix epoch. */
interface Progress {
  readonly segment: string;
  /** The caller's trace context; the queue may be read before the job arrives. */
  traceparent?: string | undefined;
  queuedAtMs?: number;
  takenAtMs?: number;
  clip?: Clip;
  fetchedAtMs?: number;
  loadedAtMs?: number;
  startedAtMs?: number;
}

export interface SpeechTracesOptions {
  readonly session: string;
  readonly epoch: number;
  readonly sender: string;
  /** Media that must be in memory before a segment can start, media-clock samples. */
  readonly startSamples: number;
}

/** Traces queued segments from their job to their first packet. Does nothing while tracing is off. */
export class SpeechTraces {
  readonly #tracer: Tracer;
  readonly #options: SpeechTracesOptions;
  /** Traces by `seq`, until the segment has started or ended. */
  readonly #progress = new Map<number, Progress>();
  /** Segments that are fetched but cannot start yet. */
  #loading = 0;

  constructor(tracer: Tracer, options: SpeechTracesOptions) {
    this.#tracer = tracer;
    this.#options = options;
  }

  /** @param queuedAtMs Time at which the job was created. */
  taken({ seq, segment, traceparent }: SegmentJob, queuedAtMs: number): void {
    if (!this.#tracer.enabled || traceparent === undefined) return;
    const progress = this.#progressOf(seq, segment);
    Object.assign(progress, { traceparent, queuedAtMs, takenAtMs: Date.now() });
    if (progress.startedAtMs !== undefined) this.#record(seq, progress);
  }

  /** Records that the manifest was read and loading of the media begins. */
  fetched(seq: number, clip: Clip): void {
    if (!this.#tracer.enabled) return;
    Object.assign(this.#progressOf(seq, clip.segment), { clip, fetchedAtMs: Date.now() });
    this.#loading++;
  }

  /** Records that some media has arrived. */
  loaded(): void {
    if (this.#loading === 0) return;
    for (const progress of this.#progress.values()) {
      if (progress.clip === undefined || progress.loadedAtMs !== undefined) continue;
      const enough = Math.min(this.#options.startSamples, progress.clip.durationSamples);
      if (progress.clip.readySamples(0) < enough) continue;
      progress.loadedAtMs = Date.now();
      this.#loading--;
    }
  }

  /** Records that the first packet is about to be sent. */
  started(seq: number): void {
    const progress = this.#progress.get(seq);
    if (!progress) return;
    progress.startedAtMs = Date.now();
    if (progress.traceparent !== undefined) this.#record(seq, progress);
  }

  /** @param reason Why the segment never started, if it did not. */
  finished(seq: number, reason: string): void {
    const progress = this.#progress.get(seq);
    if (progress) this.#record(seq, progress, reason);
  }

  #progressOf(seq: number, segment: string): Progress {
    const known = this.#progress.get(seq);
    if (known) return known;
    const progress: Progress = { segment };
    this.#progress.set(seq, progress);
    return progress;
  }

  #record(seq: number, progress: Progress, reason?: string): void {
    this.#progress.delete(seq);
    const {
      segment,
      clip,
      traceparent,
      takenAtMs = 0,
      queuedAtMs = 0,
      fetchedAtMs,
      loadedAtMs,
      startedAtMs,
    } = progress;
    if (clip !== undefined && loadedAtMs === undefined) this.#loading--;
    if (traceparent === undefined) return;
    const stages = new Stages(queuedAtMs);
    stages.end('speech.queue', Math.min(takenAtMs, fetchedAtMs ?? takenAtMs));
    if (fetchedAtMs !== undefined) stages.end('speech.fetch', fetchedAtMs);
    if (loadedAtMs !== undefined) stages.end('speech.prefetch', loadedAtMs);
    if (startedAtMs !== undefined) stages.end('speech.first_packet', startedAtMs);
    const { session, epoch, sender } = this.#options;
    stages.record(this.#tracer, 'speech.start', {
      parent: traceparent,
      kind: 'consumer',
      attributes: { session, segment, seq, epoch, sender },
      error: startedAtMs === undefined ? reason : undefined,
    });
  }
}
