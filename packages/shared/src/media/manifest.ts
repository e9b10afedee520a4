import {
  idSchema,
  missingRenditionSchema,
  type Rational,
  rationalSchema,
  renditionSchema,
  segmentRoleSchema,
  segmentSourceSchema,
  segmentStateSchema,
  slugSchema,
  textCueSchema,
} from '@humancast/protocol';
import { z } from 'zod';

/** Samples per second of the media clock, and of the RTP clock of Opus (RFC 7587 §4.1). */
export const CLOCK_RATE = 48_000;
/** Samples per second of stored PCM: s16le, mono. */
export const PCM_RATE = 24_000;
export const PCM_SAMPLE_BYTES = 2;
/** Media-clock samples per stored PCM sample. */
export const CLOCK_PER_PCM = CLOCK_RATE / PCM_RATE;
const PCM_CHUNK_SECONDS = 1;
/** PCM samples in one stored chunk. The last chunk of a segment may be shorter. */
export const PCM_CHUNK_SAMPLES = PCM_CHUNK_SECONDS * PCM_RATE;
/** Ticks per second of the RTP clock of every video codec (RFC 7741 §4.1, RFC 6184 §8.2.1). */
export const VIDEO_CLOCK_RATE = 90_000;

/**
 * Describes a segment exactly. It lasts as long as the longer of its tracks: shorter video holds its last frame, and shorter
 * audio is followed by silence. An idle clip with moving video is as long as its video, so that it loops without a pause;
 * audio beyond that is not played.
 */
export const manifestSchema = z.object({
  version: z.literal(1),
  id: idSchema,
  avatar: slugSchema,
  /** Name for humans: that of the file, or as given by the producer. */
  name: z.string().max(255),
  role: segmentRoleSchema,
  source: segmentSourceSchema,
  state: segmentStateSchema,
  createdAtMs: z.number(),
  fps: rationalSchema,
  /** Frames of every rendition. Frame k is due `k · den/num` seconds after the segment's start. */
  frames: z.int().min(0),
  /** Frames per GOP; the last GOP may be shorter. */
  gopFrames: z.int().min(1),
  /** Stored PCM samples at {@link PCM_RATE}; audio may end before video. */
  pcmSamples: z.int().min(0),
  /** Length in media-clock samples ({@link CLOCK_RATE}); even, so that it is a whole number of PCM samples. */
  durationSamples: z.int().min(2),
  /** The stored renditions. Of each codec, the one with the largest bitrate is stored first. */
  renditions: z.array(renditionSchema).min(1),
  /** Renditions of the ladder that are encoded after the segment can be played, or failed to be; absent if it is whole. */
  missingRenditions: z.array(missingRenditionSchema).optional(),
  /** Frames at which an idle clip may be left for speech, besides its end (cut policy `marks`). */
  markFrames: z.array(z.int().min(0)).default([]),
  failure: z.object({ code: z.string(), message: z.string() }).optional(),
  /** The spoken text, in order. */
  text: z.array(textCueSchema).optional(),
  /** The session that it was pushed into; no other session may play it. */
  session: idSchema.optional(),
  /** The name of the API key that uploaded or pushed it. */
  owner: z.string().max(64).optional(),
});
export type SegmentManifest = z.infer<typeof manifestSchema>;

/** Metadata of a segment in lists. */
export const segmentSummarySchema = manifestSchema
  .pick({
    id: true,
    avatar: true,
    name: true,
    role: true,
    source: true,
    state: true,
    createdAtMs: true,
    durationSamples: true,
    session: true,
    owner: true,
  })
  .extend({
    /** Whether renditions are still to be encoded. */
    unfinished: z.literal(true).optional(),
  });
export type SegmentSummary = z.infer<typeof segmentSummarySchema>;

export function summaryOf(manifest: SegmentManifest): SegmentSummary {
  const { id, avatar, name, role, source, state, createdAtMs, durationSamples, session, owner } = manifest;
  const isUnfinished = pendingRenditions(manifest).length > 0;
  return {
    id,
    avatar,
    name,
    role,
    source,
    state,
    createdAtMs,
    durationSamples,
    session,
    owner,
    ...(isUnfinished && { unfinished: true }),
  };
}

/** @returns The renditions that are still to be encoded. */
export function pendingRenditions({ missingRenditions = [] }: Pick<SegmentManifest, 'missingRenditions'>) {
  return missingRenditions.filter(({ failure }) => failure === undefined);
}

/**
 * @returns The indices of the smallest rendition of each codec. A live segment has all of their frames, and each comes after
 * the same frame of the larger ones, which may lack whole GOPs.
 */
export function steadyRenditions(renditions: SegmentManifest['renditions']): number[] {
  const smallest = new Map<string, number>();
  for (const [i, { codec, bitrateBps }] of renditions.entries()) {
    const former = renditions[smallest.get(codec) ?? i];
    // Of equal ones the last, because larger ones are encoded first, in their order.
    if (!former || bitrateBps <= former.bitrateBps) smallest.set(codec, i);
  }
  return [...smallest.values()];
}

export function gopCount(manifest: Pick<SegmentManifest, 'frames' | 'gopFrames'>): number {
  return Math.ceil(manifest.frames / manifest.gopFrames);
}

export function pcmChunkCount(manifest: Pick<SegmentManifest, 'pcmSamples'>): number {
  return Math.ceil(manifest.pcmSamples / PCM_CHUNK_SAMPLES);
}

/** Size of its parts, without the store's overhead, bytes. */
export function storedBytes({
  renditions,
  pcmSamples,
}: {
  readonly renditions: readonly { readonly bytes: number }[];
  readonly pcmSamples: number;
}): number {
  return renditions.reduce((sum, { bytes }) => sum + bytes, pcmSamples * PCM_SAMPLE_BYTES);
}

/** @returns The duration by the rule above, media-clock samples, rounded up to an even number. */
export function durationSamplesOf(
  frames: number,
  fps: Rational,
  pcmSamples: number,
  role: SegmentManifest['role'] = 'speech',
): number {
  const videoSamples = Math.ceil((frames * CLOCK_RATE * fps.den) / (fps.num * CLOCK_PER_PCM)) * CLOCK_PER_PCM;
  const audioSamples = role === 'idle' && frames > 1 ? 0 : pcmSamples * CLOCK_PER_PCM;
  return Math.max(videoSamples, audioSamples, CLOCK_PER_PCM);
}

export function msToSamples(ms: number): number {
  return (ms * CLOCK_RATE) / 1000;
}

export function samplesToMs(samples: number): number {
  return (samples * 1000) / CLOCK_RATE;
}
