import type { EncodeJob } from '../encode/encode-job.js';
import { type EncoderLimits, encoderArguments } from '../encode/encoder-arguments.js';
import { compositionGraph } from './composition-graph.js';
import type { CompositionPlan } from './composition-plan.js';

/** @returns The job that composes all inputs and encodes the result. */
export function compositionJob(plan: CompositionPlan, limits: EncoderLimits): EncodeJob {
  const { fps, gopFrames, renditions, inputs, mixInputs } = plan;
  const outputs = { renditions, gopFrames, hasAudio: mixInputs.length > 0 };
  return {
    fps,
    ...outputs,
    statedSamples: undefined,
    arguments: encoderArguments(inputs, compositionGraph(plan), outputs, limits),
  };
}
