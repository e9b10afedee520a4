import { HumancastError } from '@humancast/shared';
import type { EncoderLog } from '../encode/encoder-log.js';
import {
  type Outcome,
  rejectDamagedAudio,
  rejectDamagedVideo,
  rejectFailure,
  rejectFewFrames,
  rejectShort,
  rejectUnstarted,
} from '../encode/validate-output.js';
import type { CompositionPlan, PlannedLayer, PlannedMixInput } from './composition-plan.js';

/**
 * Checks that every input held what its file states. The output can't tell: an input that ends early freezes, exactly as a
 * shorter one would.
 * @throws HumancastError `media_truncated`, `media_corrupt`, `media_too_large`, `encoder_failed`; it names the input.
 */
export function validateComposition(plan: CompositionPlan, maxPixels: number, outcome: Outcome): void {
  rejectUnstarted(outcome, maxPixels);
  for (const layer of plan.layers) withInputName(nameOf(plan, layer), () => validateLayer(layer, plan, outcome.log));
  for (const mixInput of plan.mixInputs)
    withInputName(nameOf(plan, mixInput), () => validateAudio(mixInput, plan, outcome.log));
  rejectFailure(outcome);
  if (outcome.frames !== plan.frames) {
    throw new HumancastError('encoder_failed', `${outcome.frames} of ${plan.frames} frames were encoded`);
  }
}

/** Runs a validation and adds the input's name to its error. */
function withInputName<T>(input: string, validate: () => T): T {
  try {
    return validate();
  } catch (error) {
    throw nameInput(input, error);
  }
}

/** @returns The error with the input's name in its detail and extra. */
export function nameInput(input: string, error: unknown): unknown {
  if (!(error instanceof HumancastError) || error.message.startsWith(`input "${input}"`)) return error;
  const { code, message, extra } = error;
  return new HumancastError(code, { detail: `input "${input}": ${message}`, extra: { ...extra, input }, cause: error });
}

function nameOf({ inputs }: CompositionPlan, { input }: PlannedLayer | PlannedMixInput): string {
  return inputs[input]?.name ?? '';
}

function validateLayer(
  { input, video, zeroSeconds, usedSeconds }: PlannedLayer,
  plan: CompositionPlan,
  log: EncoderLog,
) {
  if (usedSeconds === 0) return;
  const health = log.health(`${input}:${video.index}`);
  if (!health.decoded) {
    throw new HumancastError('media_corrupt', {
      detail: `no video frame could be decoded (${health.damaged} failed)`,
      extra: { damagedFrames: health.damaged, decodedFrames: 0 },
    });
  }
  const { content, endSeconds, startSeconds } = video;
  const from = Math.max(startSeconds, zeroSeconds);
  if (content) {
    if (endSeconds !== undefined) rejectShort('video', content.endSeconds - from, endSeconds - from, plan.fps);
    // An input not used to its end is not decoded to its end.
    if (usedSeconds >= content.endSeconds - from) rejectFewFrames(health.decoded, content);
  }
  rejectDamagedVideo(health, 0);
}

function validateAudio({ input, track, usedSeconds }: PlannedMixInput, plan: CompositionPlan, log: EncoderLog) {
  if (usedSeconds === 0) return;
  const health = log.health(`${input}:${track.index}`);
  const decodedSeconds = track.sampleRate && health.samples && health.samples / track.sampleRate;
  const statedSeconds = track.endSeconds && track.endSeconds - track.startSeconds;
  if (decodedSeconds && statedSeconds && usedSeconds >= statedSeconds) {
    rejectShort('audio', decodedSeconds, statedSeconds, plan.fps);
  }
  rejectDamagedAudio(health);
}
