import { type SegmentJob, Stages, type Tracer } from '@humancast/shared';
import type { Clip } from '../playout/clip.js';

/** A queued segment on its way to be heard; times are milliseconds since the Unix epoch. */
interface Way {
  readonly segment: string;
  /** Of whoever queued it; its job may come after another reason to look at the queue. */
  traceparent?: string | undefined;
  queuedAtMs?: number;
  takenAtMs?: number;
  clip?: Clip;
  fetchedAtMs?: number;
  loadedAtMs?: number;
  heardAtMs?: number;
}

export interface SpeechTracesOptions {
  readonly session: string;
  readonly epoch: number;
  readonly sender: string;
  /** With so much of its beginning in memory a segment can start, media-clock samples. */
  readonly startSamples: number;
}

/** Traces of what is queued, from its job to its first packet. Notes and does nothing while tracing is off. */
export class SpeechTraces {
  readonly #tracer: Tracer;
  readonly #options: SpeechTracesOptions;
  /** By `seq`; those that are heard or over are forgotten. */
  readonly #ways = new Map<number, Way>();
  /** Fetched ones that cannot start yet. */
  #loading = 0;

  constructor(tracer: Tracer, options: SpeechTracesOptions) {
    this.#tracer = tracer;
    this.#options = options;
  }

  /** @param queuedAtMs when the job was made. */
  taken({ seq, segment, traceparent }: SegmentJob, queuedAtMs: number): void {
    if (!this.#tracer.enabled || traceparent === undefined) return;
    const way = this.#wayOf(seq, segment);
    Object.assign(way, { traceparent, queuedAtMs, takenAtMs: Date.now() });
    if (way.heardAtMs !== undefined) this.#tell(seq, way);
  }

  /** Its manifest has been read; from now on its media is. */
  fetched(seq: number, clip: Clip): void {
    if (!this.#tracer.enabled) return;
    Object.assign(this.#wayOf(seq, clip.segment), { clip, fetchedAtMs: Date.now() });
    this.#loading++;
  }

  /** Some media has come. */
  loaded(): void {
    if (this.#loading === 0) return;
    for (const way of this.#ways.values()) {
      if (way.clip === undefined || way.loadedAtMs !== undefined) continue;
      const enough = Math.min(this.#options.startSamples, way.clip.durationSamples);
      if (way.clip.readySamples(0) < enough) continue;
      way.loadedAtMs = Date.now();
      this.#loading--;
    }
  }

  /** Its first packet is about to leave. */
  heard(seq: number): void {
    const way = this.#ways.get(seq);
    if (!way) return;
    way.heardAtMs = Date.now();
    if (way.traceparent !== undefined) this.#tell(seq, way);
  }

  /** @param reason why, if it was never heard. */
  over(seq: number, reason: string): void {
    const way = this.#ways.get(seq);
    if (way) this.#tell(seq, way, reason);
  }

  #wayOf(seq: number, segment: string): Way {
    const known = this.#ways.get(seq);
    if (known) return known;
    const way: Way = { segment };
    this.#ways.set(seq, way);
    return way;
  }

  #tell(seq: number, way: Way, reason?: string): void {
    this.#ways.delete(seq);
    const { segment, clip, traceparent, takenAtMs = 0, queuedAtMs = 0, fetchedAtMs, loadedAtMs, heardAtMs } = way;
    if (clip !== undefined && loadedAtMs === undefined) this.#loading--;
    if (traceparent === undefined) return;
    const stages = new Stages(queuedAtMs);
    stages.end('speech.queue', Math.min(takenAtMs, fetchedAtMs ?? takenAtMs));
    if (fetchedAtMs !== undefined) stages.end('speech.fetch', fetchedAtMs);
    if (loadedAtMs !== undefined) stages.end('speech.prefetch', loadedAtMs);
    if (heardAtMs !== undefined) stages.end('speech.first_packet', heardAtMs);
    const { session, epoch, sender } = this.#options;
    stages.tell(this.#tracer, 'speech.start', {
      parent: traceparent,
      kind: 'consumer',
      attributes: { session, segment, seq, epoch, sender },
      error: heardAtMs === undefined ? reason : undefined,
    });
  }
}
