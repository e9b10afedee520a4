import { type Composition, HumancastError, inputsOf, MAIN_INPUT } from '@humancast/shared';
import { compositionJob } from '../compose/composition-job.js';
import { type ProbedInput, planComposition } from '../compose/composition-plan.js';
import { judgeComposition, named } from '../compose/composition-verdict.js';
import { type EncodeJob, fileJob } from '../encode/encode-job.js';
import { type EncodeSettings, type PlannedAudio, planEncode } from '../encode/encode-plan.js';
import type { EncoderLimits } from '../encode/encoder-arguments.js';
import { framesPerSecond } from '../encode/frame-rate.js';
import { judge, type Outcome } from '../encode/verdict.js';
import { type AdmissionLimits, admitPicture, admitSound } from '../probe/admission.js';
import type { MediaInfo } from '../probe/media-info.js';
import { probe } from '../probe/probe.js';

/** A file, or two. The descriptors stay the caller's to close. */
export interface InputFiles {
  readonly video: number;
  /** Sound from a file of its own instead of the picture's. */
  readonly audio: number | undefined;
}

/** Several of them, to be merged. */
export interface ComposedMedia {
  readonly composition: Composition;
  /** By name. */
  readonly inputs: ReadonlyMap<string, InputFiles>;
}

export type LoadMedia = InputFiles | ComposedMedia;

/** What is going to be done, and how it will be judged. */
export interface LoadPlan {
  readonly job: EncodeJob;
  /** Descriptors, in the order of the job's arguments. */
  readonly inputs: readonly number[];
  /** As stated, s; `undefined` when no file says. */
  readonly lengthSeconds: number | undefined;
  /** Where the media's chapters begin, s from the segment's start. */
  readonly chapterSeconds: readonly number[];
  /** @throws HumancastError. */
  readonly judge: (outcome: Outcome) => void;
}

export interface PlanLimits extends AdmissionLimits, EncoderLimits {}

/** @throws HumancastError of a `media_…` or `composition_…` code; the signal's reason. */
export async function planLoad(
  media: LoadMedia,
  settings: EncodeSettings,
  limits: PlanLimits,
  signal: AbortSignal,
): Promise<LoadPlan> {
  return 'composition' in media
    ? planComposed(media, settings, limits, signal)
    : planFile(media, settings, limits, signal);
}

async function planFile(
  files: InputFiles,
  settings: EncodeSettings,
  limits: PlanLimits,
  signal: AbortSignal,
): Promise<LoadPlan> {
  const { info, audio } = await probeFiles(files, limits, signal);
  const plan = planEncode(admitPicture(info, limits), audio, settings);
  const end = plan.video.endSeconds ?? info.durationSeconds;
  return {
    job: fileJob(plan, limits),
    inputs: files.audio === undefined ? [files.video] : [files.video, files.audio],
    lengthSeconds: end === undefined ? undefined : end - plan.zeroSeconds,
    chapterSeconds: info.chapterSeconds.map((seconds) => seconds - plan.zeroSeconds),
    judge: (outcome) => judge(plan, info, limits.maxPixels, outcome),
  };
}

async function planComposed(
  { composition, inputs }: ComposedMedia,
  settings: EncodeSettings,
  limits: PlanLimits,
  signal: AbortSignal,
): Promise<LoadPlan> {
  const probed = new Map<string, ProbedInput>();
  for (const name of inputsOf(composition)) {
    const files = inputs.get(name);
    if (!files) throw new HumancastError('composition_input_missing', `the input "${name}" was not given`);
    try {
      probed.set(name, await probeFiles(files, limits, signal));
    } catch (error) {
      throw named(name, error);
    }
  }
  const plan = planComposition(composition, probed, settings, limits.maxDurationSeconds);
  const main = plan.layers.find(({ input }) => plan.inputs[input]?.name === MAIN_INPUT);
  const chapters = main ? (probed.get(MAIN_INPUT)?.info.chapterSeconds ?? []) : [];
  const shift = main ? main.startFrames / framesPerSecond(plan.fps) - main.zeroSeconds : 0;
  return {
    job: compositionJob(plan, limits),
    inputs: plan.inputs.map(({ descriptor }) => descriptor),
    lengthSeconds: plan.frames / framesPerSecond(plan.fps),
    chapterSeconds: chapters.map((seconds) => seconds + shift),
    judge: (outcome) => judgeComposition(plan, limits.maxPixels, outcome),
  };
}

/** Refuses by the headers what can't be used at all; whether a picture is needed is for the plan. */
async function probeFiles({ video, audio }: InputFiles, limits: PlanLimits, signal: AbortSignal): Promise<ProbedInput> {
  const info = await probe(video, limits.maxPixels, signal);
  admitAny(info, limits);
  if (audio === undefined) {
    return { info, audio: info.audio && { track: info.audio, separate: false }, video, sound: video };
  }
  const track = admitSound(await probe(audio, limits.maxPixels, signal), limits);
  return { info, audio: { track, separate: true } satisfies PlannedAudio, video, sound: audio };
}

function admitAny(info: MediaInfo, limits: PlanLimits): void {
  if (info.video || !info.audio) admitPicture(info, limits);
  else admitSound(info, limits);
}
