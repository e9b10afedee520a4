import { type Rational } from '@humancast/protocol';
import { PCM_RATE } from '@humancast/shared';
import { endOf } from '../probe/media-info.js';
import type { EncodePlan, PlannedRendition } from './encode-plan.js';
import { type EncoderLimits, fileArguments } from './encoder-arguments.js';

/** One run of ffmpeg, and what is expected of it. */
export interface EncodeJob {
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly renditions: readonly PlannedRendition[];
  readonly hasSound: boolean;
  /** How much sound there is to be, where that is known. */
  readonly statedSamples: number | undefined;
  readonly arguments: readonly string[];
}

/** To encode a file, or a picture and a sound, as they are. */
export function fileJob(plan: EncodePlan, limits: EncoderLimits): EncodeJob {
  const { fps, gopFrames, renditions, audio } = plan;
  return {
    fps,
    gopFrames,
    renditions,
    hasSound: audio !== undefined,
    statedSamples: statedSamples(plan),
    arguments: fileArguments(plan, limits),
  };
}

/** How much sound the file says there is from the segment's start on. */
function statedSamples({ audio, zeroSeconds }: EncodePlan): number | undefined {
  const end = audio && endOf(audio.track);
  if (!audio || end === undefined) return undefined;
  return (end - (audio.separate ? audio.track.startSeconds : zeroSeconds)) * PCM_RATE;
}
