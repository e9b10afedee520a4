import type { Rational, Rendition } from '@humancast/protocol';
import { PCM_RATE } from '@humancast/shared';
import { endOf } from '../probe/media-info.js';
import type { EncodePlan } from './encode-plan.js';
import { type EncoderLimits, fileArguments } from './encoder-arguments.js';

/** A rendition to encode. */
export type OutputRendition = Omit<Rendition, 'bytes'>;

/** One run of ffmpeg and its expected output. */
export interface EncodeJob {
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly renditions: readonly OutputRendition[];
  readonly hasAudio: boolean;
  /** Expected number of audio samples, if known. */
  readonly statedSamples: number | undefined;
  readonly arguments: readonly string[];
}

/** @returns The job that encodes a file, or a video file and an audio file. */
export function fileJob(plan: EncodePlan, limits: EncoderLimits): EncodeJob {
  const { fps, gopFrames, renditions, audio } = plan;
  return {
    fps,
    gopFrames,
    renditions,
    hasAudio: audio !== undefined,
    statedSamples: statedSamples(plan),
    arguments: fileArguments(plan, limits),
  };
}

/** @returns The number of audio samples that the file states from the segment's start on. */
function statedSamples({ audio, zeroSeconds }: EncodePlan): number | undefined {
  const end = audio && endOf(audio.track);
  if (!audio || end === undefined) return undefined;
  return (end - (audio.separate ? audio.track.startSeconds : zeroSeconds)) * PCM_RATE;
}
