import type { Codec, MissingRendition, TextCue } from '@humancast/protocol';
import {
  durationSamplesOf,
  HumancastError,
  type Logger,
  type MediaStore,
  PCM_CHUNK_SAMPLES,
  type Retention,
  type SegmentManifest,
  samplesToMs,
} from '@humancast/shared';
import { type Encoded, encode, type PartSink } from '../encode/encode.js';
import type { EncodeJob, OutputRendition } from '../encode/encode-job.js';
import { type EncodeSettings, storedRendition } from '../encode/encode-plan.js';
import { framesPerSecond } from '../encode/frame-rate.js';
import { missingRendition, splitLadder, topOf } from '../encode/ladder.js';
import type { LoaderMetrics } from '../metrics.js';
import type { InputLimits } from '../probe/check-input.js';
import type { MediaQuota } from '../retention/media-quota.js';
import { expectedBytes, noRoom } from '../retention/room.js';
import type { ScratchFile } from '../upload/scratch-file.js';
import { type LoadMedia, type LoadPlan, planLoad } from './load-plan.js';
import { withRetry } from './with-retry.js';

/** Time for which writes to the media store are retried while ffmpeg waits; then the load fails. */
const STORE_PATIENCE_MS = 60_000;
const STALL_MS = 60_000;
/** A load's time limit is this base plus {@link TOTAL_PER_MEDIA} times the media's length. */
const TOTAL_BASE_MS = 120_000;
const TOTAL_PER_MEDIA = 20;
const PROGRESS_LOG_MS = 5000;

export interface LoadLimits extends InputLimits {
  readonly ffmpegThreads: number;
  /** Folder for scratch files; `''` for the system's default. */
  readonly scratchDir: string;
}

/** A file to load, and the segment to create from it. */
export interface LoadRequest {
  readonly id: string;
  readonly avatar: string;
  readonly name: string;
  readonly role: SegmentManifest['role'];
  readonly source: 'library' | 'upload';
  readonly retention: Retention;
  /** Name of the API key that uploaded it. */
  readonly owner?: string;
  /** The text that is spoken in it. */
  readonly text?: readonly TextCue[] | undefined;
  readonly settings: EncodeSettings;
  readonly media: LoadMedia;
}

/**
 * Loads files: probes, plans, encodes and publishes the manifest, with the first rendition of each codec. The others are
 * encoded later (`ladder/`).
 */
export class SegmentLoader {
  readonly #store: MediaStore;
  readonly #quota: Pick<MediaQuota, 'makeRoom'>;
  readonly #limits: LoadLimits;
  readonly #metrics: LoaderMetrics;
  readonly #logger: Logger;

  constructor(
    store: MediaStore,
    quota: Pick<MediaQuota, 'makeRoom'>,
    limits: LoadLimits,
    metrics: LoaderMetrics,
    logger: Logger,
  ) {
    this.#store = store;
    this.#quota = quota;
    this.#limits = limits;
    this.#metrics = metrics;
    this.#logger = logger;
  }

  /**
   * Loads a file and publishes its segment.
   * @param onProgress Receives the completed share, 0 to 1; it stays below 1 until the segment is published.
   * @throws HumancastError with a `media_…` or `composition_…` code, `encoder_failed`, `media_store_full`, `unavailable`;
   * the signal's reason.
   */
  async load(request: LoadRequest, signal: AbortSignal, onProgress: (share: number) => void): Promise<SegmentManifest> {
    const logger = this.#logger.child({ segment: request.id, avatar: request.avatar, file: request.name });
    const startedMs = performance.now();
    logger.info({ source: request.source }, 'load started');
    try {
      const manifest = await this.#load(request, signal, onProgress, logger);
      const mediaMs = samplesToMs(manifest.durationSamples);
      const ms = performance.now() - startedMs;
      this.#metrics.loaded(ms / 1000, mediaMs / 1000, request.source);
      logger.info({ ms: Math.round(ms), mediaMs, timesRealTime: Number((mediaMs / ms).toFixed(1)) }, 'segment loaded');
      return manifest;
    } catch (error) {
      if (signal.aborted) logger.info('load cancelled');
      else this.#reportFailure(error, logger);
      throw error;
    }
  }

  async #load(
    request: LoadRequest,
    signal: AbortSignal,
    onProgress: (share: number) => void,
    logger: Logger,
  ): Promise<SegmentManifest> {
    const { maxSourcePixels: maxPixels, ffmpegThreads: threads } = this.#limits;
    const copies: ScratchFile[] = [];
    try {
      const keepOpen = (copy: ScratchFile) => copies.push(copy);
      const planLimits = { ...this.#limits, maxPixels, threads, keepOpen };
      const { first, later } = splitLadder(request.settings.renditions);
      const plan = await planLoad(request.media, { ...request.settings, renditions: first }, planLimits, signal);
      const missing = later.map((config) => missingRendition(config, sizeOfTop(plan, config.codec)));
      await this.#makeRoom(request, plan, missing, signal);
      return await this.#encode(request, plan, missing, signal, reportingProgress(plan, onProgress, logger));
    } finally {
      await Promise.all(copies.map((copy) => copy.close()));
    }
  }

  async #encode(
    request: LoadRequest,
    plan: LoadPlan,
    missing: readonly MissingRendition[],
    signal: AbortSignal,
    onFrames: (frames: number) => void,
  ): Promise<SegmentManifest> {
    const { maxDurationSeconds } = this.#limits;
    const sink = new StoreSink(this.#store, request.id, this.#metrics, signal);
    try {
      const limits = {
        maxDurationSeconds,
        stallMs: STALL_MS,
        totalMs: TOTAL_BASE_MS + TOTAL_PER_MEDIA * 1000 * (plan.lengthSeconds ?? maxDurationSeconds),
      };
      const encoded = await encode(plan.job, plan.inputs, limits, sink, signal, onFrames);
      plan.validate(encoded);
      const manifest = manifestOf(request, plan, missing, encoded);
      return await this.#publish(manifest, request.retention, signal);
    } catch (error) {
      await sink.discard(plan.job).catch(() => {
        // The store is unreachable or full; parts without a manifest expire.
      });
      throw error;
    }
  }

  /** Makes room for the segment. A library file is loaded even without quota, as long as the store itself accepts it. */
  async #makeRoom(
    { source }: LoadRequest,
    { job, lengthSeconds = 0 }: LoadPlan,
    missing: readonly MissingRendition[],
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = expectedBytes([...job.renditions, ...missing], lengthSeconds);
    const isRoom = await withRetry(() => this.#quota.makeRoom(bytes), STORE_PATIENCE_MS, signal);
    if (!isRoom && source === 'upload') throw noRoom();
  }

  async #publish(manifest: SegmentManifest, retention: Retention, signal: AbortSignal): Promise<SegmentManifest> {
    const store = this.#store;
    await withRetry(() => store.putManifest(manifest, retention), STORE_PATIENCE_MS, signal);
    if (await withRetry(() => store.hasAllParts(manifest.id), STORE_PATIENCE_MS, signal)) return manifest;
    // The store lost its data during the load.
    await store.delete(manifest.id);
    throw new HumancastError('unavailable', {
      detail: 'the media store lost parts of the segment during the load; try again',
      retryAfterSeconds: 1,
    });
  }

  #reportFailure(error: unknown, logger: Logger): void {
    const code = error instanceof HumancastError ? error.code : 'internal';
    this.#metrics.failures.inc({ code });
    const { message, cause } = error as Error;
    if (code === 'internal') logger.error({ code, err: error }, 'load failed');
    else logger.warn({ code, detail: message, cause: (cause as Error | undefined)?.message }, 'load failed');
  }
}

/** Writes a segment's parts with retries, and can discard them. */
class StoreSink implements PartSink {
  readonly #store: MediaStore;
  readonly #segment: string;
  readonly #metrics: LoaderMetrics;
  readonly #signal: AbortSignal;
  #gopCount = 0;
  #pcmCount = 0;

  constructor(store: MediaStore, segment: string, metrics: LoaderMetrics, signal: AbortSignal) {
    this.#store = store;
    this.#segment = segment;
    this.#metrics = metrics;
    this.#signal = signal;
  }

  async writeGop(rendition: string, index: number, gop: Buffer): Promise<void> {
    this.#gopCount = Math.max(this.#gopCount, index + 1);
    await this.#write('video', gop, () => this.#store.writeGop(this.#segment, rendition, index, gop));
  }

  async writePcm(index: number, pcm: Buffer): Promise<void> {
    this.#pcmCount = Math.max(this.#pcmCount, index + 1);
    await this.#write('audio', pcm, () => this.#store.writePcm(this.#segment, index, pcm));
  }

  /** Discards the parts, unless a published manifest names them: then the segment is being reloaded and may be playing. */
  async discard({ renditions, gopFrames }: EncodeJob): Promise<void> {
    if ((await this.#store.getManifest(this.#segment)) !== undefined) return;
    await this.#store.discardParts({
      id: this.#segment,
      renditions,
      gopFrames,
      frames: this.#gopCount * gopFrames,
      pcmSamples: this.#pcmCount * PCM_CHUNK_SAMPLES,
    });
  }

  async #write(kind: 'video' | 'audio', part: Buffer, write: () => Promise<void>): Promise<void> {
    await withRetry(write, STORE_PATIENCE_MS, this.#signal);
    this.#metrics.bytes.inc({ kind }, part.length);
  }
}

function sizeOfTop({ job }: LoadPlan, codec: Codec): OutputRendition {
  const top = topOf(job.renditions, codec);
  if (!top) throw new TypeError(`no rendition with ${codec} is encoded first`);
  return top;
}

function manifestOf(
  request: LoadRequest,
  { job, chapterSeconds }: LoadPlan,
  missing: readonly MissingRendition[],
  encoded: Encoded,
): SegmentManifest {
  return {
    version: 1,
    id: request.id,
    avatar: request.avatar,
    name: request.name.slice(0, 255),
    role: request.role,
    source: request.source,
    state: 'complete',
    createdAtMs: Date.now(),
    fps: job.fps,
    frames: encoded.frames,
    gopFrames: job.gopFrames,
    pcmSamples: encoded.pcmSamples,
    durationSamples: durationSamplesOf(encoded.frames, job.fps, encoded.pcmSamples, request.role),
    renditions: job.renditions.map((rendition) => storedRendition(rendition, encoded.bytes.get(rendition.id) ?? 0)),
    ...(missing.length > 0 && { missingRenditions: [...missing] }),
    markFrames: markFrames(chapterSeconds, job, encoded.frames),
    ...(request.text && { text: [...request.text] }),
    ...(request.owner !== undefined && { owner: request.owner }),
  };
}

/** @returns The frames at which chapters begin, without the first and the last frame. */
function markFrames(chapterSeconds: readonly number[], { fps }: EncodeJob, frames: number): number[] {
  const marks = chapterSeconds.map((seconds) => Math.round(seconds * framesPerSecond(fps)));
  return [...new Set(marks)].filter((frame) => frame > 0 && frame < frames).sort((a, b) => a - b);
}

/** Turns frame counts into a share of progress, and into a log line every {@link PROGRESS_LOG_MS}. */
function reportingProgress(
  { job, lengthSeconds = 0 }: LoadPlan,
  onProgress: (share: number) => void,
  logger: Logger,
): (frames: number) => void {
  const expectedFrames = lengthSeconds * framesPerSecond(job.fps);
  let loggedMs = performance.now();
  return (frames) => {
    const share = expectedFrames > 0 ? Math.min(0.99, frames / expectedFrames) : 0;
    onProgress(share);
    if (performance.now() - loggedMs < PROGRESS_LOG_MS) return;
    loggedMs = performance.now();
    logger.info({ frames, ...(share > 0 ? { percent: Math.round(100 * share) } : {}) }, 'load progressing');
  };
}
