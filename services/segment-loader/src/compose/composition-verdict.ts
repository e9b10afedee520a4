import { HumancastError } from '@humancast/shared';
import type { EncoderLog } from '../encode/encoder-log.js';
import {
  type Outcome,
  refuseBeforeLooking,
  refuseDamagedPicture,
  refuseDamagedSound,
  refuseFailure,
  refuseFewFrames,
  refuseShort,
} from '../encode/verdict.js';
import type { CompositionPlan, PlannedLayer, PlannedSound } from './composition-plan.js';

/**
 * Whether every input held what its file says. What came out can't tell: an input that ends early freezes, as it would if
 * it were short.
 * @throws HumancastError `media_truncated`, `media_corrupt`, `media_too_large`, `encoder_failed`; the input is named.
 */
export function judgeComposition(plan: CompositionPlan, maxPixels: number, outcome: Outcome): void {
  refuseBeforeLooking(outcome, maxPixels);
  for (const layer of plan.layers) naming(nameOf(plan, layer), () => judgeLayer(layer, plan, outcome.log));
  for (const sound of plan.sounds) naming(nameOf(plan, sound), () => judgeSound(sound, plan, outcome.log));
  refuseFailure(outcome);
  if (outcome.frames !== plan.frames) {
    throw new HumancastError('encoder_failed', `${outcome.frames} of ${plan.frames} frames were made`);
  }
}

/** Has an error say which input it is about. */
export function naming<T>(input: string, judge: () => T): T {
  try {
    return judge();
  } catch (error) {
    throw named(input, error);
  }
}

/** The same error, about that input. */
export function named(input: string, error: unknown): unknown {
  if (!(error instanceof HumancastError) || error.message.startsWith(`input "${input}"`)) return error;
  const { code, message, extra } = error;
  return new HumancastError(code, { detail: `input "${input}": ${message}`, extra: { ...extra, input }, cause: error });
}

function nameOf({ inputs }: CompositionPlan, { input }: PlannedLayer | PlannedSound): string {
  return inputs[input]?.name ?? '';
}

function judgeLayer({ input, video, zeroSeconds, usedSeconds }: PlannedLayer, plan: CompositionPlan, log: EncoderLog) {
  if (usedSeconds === 0) return;
  const health = log.health(`${input}:${video.index}`);
  if (!health.decoded) {
    throw new HumancastError('media_corrupt', {
      detail: `not one frame of the picture could be decoded (${health.damaged} failed)`,
      extra: { damagedFrames: health.damaged, decodedFrames: 0 },
    });
  }
  const { content, endSeconds, startSeconds } = video;
  const from = Math.max(startSeconds, zeroSeconds);
  if (content) {
    if (endSeconds !== undefined) refuseShort('picture', content.endSeconds - from, endSeconds - from, plan.fps);
    // Of one that is not used to its end, less is decoded.
    if (usedSeconds >= content.endSeconds - from) refuseFewFrames(health.decoded, content);
  }
  refuseDamagedPicture(health, 0);
}

function judgeSound({ input, track, usedSeconds }: PlannedSound, plan: CompositionPlan, log: EncoderLog) {
  if (usedSeconds === 0) return;
  const health = log.health(`${input}:${track.index}`);
  const decodedSeconds = track.sampleRate && health.samples && health.samples / track.sampleRate;
  const statedSeconds = track.endSeconds && track.endSeconds - track.startSeconds;
  if (decodedSeconds && statedSeconds && usedSeconds >= statedSeconds) {
    refuseShort('sound', decodedSeconds, statedSeconds, plan.fps);
  }
  refuseDamagedSound(health);
}
