import type { Codec, MissingRendition, Rendition } from '@humancast/protocol';
import { HumancastError, type MediaStore, pendingRenditions, type SegmentManifest } from '@humancast/shared';
import { encode } from '../encode/encode.js';
import { framesPerSecond } from '../encode/frame-rate.js';
import { topOf } from '../encode/ladder.js';
import { withRetry } from '../loading/with-retry.js';
import { ladderJob } from './ladder-job.js';
import { ladderSource } from './ladder-source.js';

/** Time for which the media store is retried; then the attempt fails. */
const STORE_PATIENCE_MS = 60_000;
const STALL_MS = 60_000;
/** The time limit is this base plus {@link TOTAL_PER_MEDIA} times the media's length. */
const TOTAL_BASE_MS = 120_000;
const TOTAL_PER_MEDIA = 20;

export interface LadderLimits {
  readonly ffmpegThreads: number;
  /** Folder for scratch files; `''` for the system's default. */
  readonly scratchDir: string;
}

/** Renditions of one codec that are made together. */
export interface LadderRun {
  readonly top: Rendition;
  readonly missing: readonly MissingRendition[];
}

/** @returns What a segment still lacks, by codec. */
export function ladderRuns(manifest: SegmentManifest): LadderRun[] {
  const pending = pendingRenditions(manifest);
  const codecs = new Set<Codec>(pending.map(({ codec }) => codec));
  return [...codecs].flatMap((codec) => {
    const top = topOf(manifest.renditions, codec);
    return top ? [{ top, missing: pending.filter((each) => each.codec === codec) }] : [];
  });
}

/**
 * Encodes renditions that a segment lacks from the stored one with the largest bitrate, and publishes them together, so that
 * the rungs of a ladder that viewers have been sent keep their places. The source file is not needed any more: this also
 * completes a segment that another process has begun.
 * @returns The segment as it is stored now; `undefined` if it is gone.
 * @throws HumancastError `media_undecodable`, `media_store_full`, `disk_full`, `encoder_failed`, `unavailable`; the signal's
 * reason. Nothing is left behind then.
 */
export async function encodeLadder(
  store: MediaStore,
  manifest: SegmentManifest,
  { top, missing }: LadderRun,
  limits: LadderLimits,
  signal: AbortSignal,
): Promise<SegmentManifest | undefined> {
  const { id, frames, fps } = manifest;
  const job = ladderJob(manifest, top, missing, limits.ffmpegThreads);
  const seconds = frames / framesPerSecond(fps);
  const encodeLimits = {
    maxDurationSeconds: Math.ceil(seconds) + 1,
    stallMs: STALL_MS,
    totalMs: TOTAL_BASE_MS + TOTAL_PER_MEDIA * 1000 * seconds,
  };
  const sink = {
    writeGop: (rendition: string, index: number, gop: Buffer) =>
      withRetry(() => store.writeGop(id, rendition, index, gop), STORE_PATIENCE_MS, signal),
    writePcm: () => Promise.resolve(),
  };
  let published: SegmentManifest | undefined;
  try {
    const readGop = (index: number) => withRetry(() => store.readGop(id, top.id, index), STORE_PATIENCE_MS, signal);
    const source = await ladderSource(manifest, top, readGop, limits.scratchDir);
    try {
      const encoded = await encode(job, [source.descriptor], encodeLimits, sink, signal);
      const { exit } = encoded;
      if (exit.notInstalled) throw new HumancastError('encoder_failed', 'ffmpeg is not installed');
      if (exit.code !== 0 || encoded.frames !== frames) {
        const detail = `${encoded.frames} of ${frames} frames were encoded, exit code ${exit.code}`;
        throw new HumancastError('media_undecodable', { detail, cause: new Error(encoded.log.complaints) });
      }
      const stored = missing.map((rendition) => ({ ...rendition, bytes: encoded.bytes.get(rendition.id) ?? 0 }));
      published = await withRetry(() => store.putRenditions(id, stored), STORE_PATIENCE_MS, signal);
      return published;
    } finally {
      await source.close();
    }
  } finally {
    // If the store is unreachable, they expire.
    if (!published) await discard(store, manifest, missing).catch(() => {});
  }
}

/** Discards GOPs, unless they were published although no answer came. */
async function discard(
  store: MediaStore,
  { id, frames, gopFrames }: SegmentManifest,
  renditions: readonly MissingRendition[],
): Promise<void> {
  const published = new Set((await store.getManifest(id))?.renditions.map((rendition) => rendition.id));
  const unpublished = renditions.filter((rendition) => !published.has(rendition.id));
  await store.discardParts({ id, renditions: unpublished, frames, gopFrames, pcmSamples: 0 });
}
