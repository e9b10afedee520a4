import { type Composition, inputsOf, MAIN_INPUT } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import { mixChains } from '../compose/composition-graph.js';
import { compositionJob } from '../compose/composition-job.js';
import { type ProbedInput, planComposition } from '../compose/composition-plan.js';
import { nameInput, validateComposition } from '../compose/validate-composition.js';
import { type AnalysisLimits, analyzeChannels, loudnessGainDb } from '../encode/audio-analysis.js';
import { type EncodeJob, fileJob } from '../encode/encode-job.js';
import { type EncodeSettings, type PlannedAudio, planEncode } from '../encode/encode-plan.js';
import { type EncoderInput, type EncoderLimits, fileInputs } from '../encode/encoder-arguments.js';
import { audioChains } from '../encode/filter-graph.js';
import { framesPerSecond } from '../encode/frame-rate.js';
import { type Outcome, validateOutput } from '../encode/validate-output.js';
import { type InputLimits, rejectUndecodable, requireAudio, requireVideo } from '../probe/check-input.js';
import { type AudioTrack, endOf, type MediaInfo } from '../probe/media-info.js';
import { probe } from '../probe/probe.js';
import type { ScratchFile } from '../upload/scratch-file.js';
import { type CopyLimits, copyWithoutOrientation } from './orientation-free.js';

/** Files of one input. The caller closes the descriptors. */
export interface InputFiles {
  readonly video: number;
  /** Descriptor of a separate audio file that replaces the video file's audio. */
  readonly audio: number | undefined;
}

/** Several inputs to compose into one segment. */
interface ComposedMedia {
  readonly composition: Composition;
  /** Files by input name. */
  readonly inputs: ReadonlyMap<string, InputFiles>;
}

export type LoadMedia = InputFiles | ComposedMedia;

/** The encode job of a load and the validation of its result. */
export interface LoadPlan {
  readonly job: EncodeJob;
  /** Descriptors, in the order of the job's arguments. */
  readonly inputs: readonly number[];
  /** Length stated by the files, s; `undefined` if they state none. */
  readonly lengthSeconds: number | undefined;
  /** Start of each chapter, s from the segment's start. */
  readonly chapterSeconds: readonly number[];
  /** @throws HumancastError if the encoded output is not valid. */
  readonly validate: (outcome: Outcome) => void;
}

export interface PlanLimits extends InputLimits, EncoderLimits, CopyLimits {
  /** Takes over files that the plan reads; they are closed when the load ends. */
  readonly keepOpen: (file: ScratchFile) => void;
}

/**
 * Probes the media and plans its load. @throws HumancastError with a `media_…` or `composition_…` code; the signal's reason.
 */
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
  const { info, audio, videoDescriptor, audioDescriptor } = await probeFiles(files, limits, signal);
  const withoutGain = planEncode(requireVideo(info, limits), audio, settings);
  const inputs = files.audio === undefined ? [videoDescriptor] : [videoDescriptor, audioDescriptor];
  const toMeasure = { inputs: fileInputs(withoutGain), descriptors: inputs, chains: audioChains(withoutGain) };
  const plan = { ...withoutGain, loudnessGainDb: await gainOf(settings, toMeasure, limits, signal) };
  const end = endOf(plan.video) ?? info.durationSeconds;
  return {
    job: fileJob(plan, limits),
    inputs,
    lengthSeconds: end === undefined ? undefined : end - plan.zeroSeconds,
    chapterSeconds: info.chapterSeconds.map((seconds) => seconds - plan.zeroSeconds),
    validate: (outcome) => validateOutput(plan, info, limits.maxPixels, outcome),
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
    if (!files)
      throw new HumancastError(
        'composition_input_missing',
        `the composition names the input "${name}", which the request lacks`,
      );
    try {
      probed.set(name, await probeFiles(files, limits, signal));
    } catch (error) {
      throw nameInput(name, error);
    }
  }
  const withoutGain = planComposition(composition, probed, settings, limits.maxDurationSeconds);
  const descriptors = withoutGain.inputs.map(({ descriptor }) => descriptor);
  const toMeasure = { inputs: withoutGain.inputs, descriptors, chains: mixChains(withoutGain) };
  const plan = { ...withoutGain, loudnessGainDb: await gainOf(settings, toMeasure, limits, signal) };
  const main = plan.layers.find(({ input }) => plan.inputs[input]?.name === MAIN_INPUT);
  const chapters = main ? (probed.get(MAIN_INPUT)?.info.chapterSeconds ?? []) : [];
  const shift = main ? main.startFrames / framesPerSecond(plan.fps) - main.zeroSeconds : 0;
  return {
    job: compositionJob(plan, limits),
    inputs: descriptors,
    lengthSeconds: plan.frames / framesPerSecond(plan.fps),
    chapterSeconds: chapters.map((seconds) => seconds + shift),
    validate: (outcome) => validateComposition(plan, limits.maxPixels, outcome),
  };
}

/** Probes the files and rejects unusable ones by their headers; the plan decides whether video is required. */
async function probeFiles(files: InputFiles, limits: PlanLimits, signal: AbortSignal): Promise<ProbedInput> {
  const analyzed = async (descriptor: number, track: AudioTrack, separate: boolean): Promise<PlannedAudio> => ({
    track,
    separate,
    weights: await analyzeChannels(descriptor, track, analysisLimits(limits), signal),
  });
  const { info, video } = await probeVideo(files.video, limits, signal);
  if (files.audio === undefined) {
    rejectUndecodable(info);
    return {
      info,
      audio: info.audio && (await analyzed(video, info.audio, false)),
      videoDescriptor: video,
      audioDescriptor: video,
    };
  }
  const track = requireAudio(await probe(files.audio, limits.maxPixels, signal), limits);
  return {
    info,
    audio: await analyzed(files.audio, track, true),
    videoDescriptor: video,
    audioDescriptor: files.audio,
  };
}

/** Probes the video file. @returns The descriptor to read (of the file or of a copy) and its media info. */
async function probeVideo(
  descriptor: number,
  limits: PlanLimits,
  signal: AbortSignal,
): Promise<{ info: MediaInfo; video: number }> {
  const info = await probe(descriptor, limits.maxPixels, signal);
  requireMedia(info, limits);
  if (!info.video?.hasOrientationSei) return { info, video: descriptor };
  const copy = await copyWithoutOrientation(descriptor, info, limits, signal);
  limits.keepOpen(copy);
  const copied = await probe(copy.descriptor, limits.maxPixels, signal);
  const shift = (copied.video?.startSeconds ?? 0) - info.video.startSeconds;
  const chapterSeconds = info.chapterSeconds.map((seconds) => seconds + shift);
  const video = copied.video && { ...copied.video, orientation: info.video.orientation };
  return { info: { ...copied, chapterSeconds, video }, video: copy.descriptor };
}

function requireMedia(info: MediaInfo, limits: PlanLimits): void {
  if (info.video || !info.audio) requireVideo(info, limits);
  else requireAudio(info, limits);
}

/** Decoding audio alone runs at about 100 times real time; this leaves a margin for a busy machine. */
function analysisLimits(limits: PlanLimits): AnalysisLimits {
  return { ...limits, totalMs: 30_000 + 500 * limits.maxDurationSeconds };
}

interface Loud {
  readonly inputs: readonly EncoderInput[];
  readonly descriptors: readonly number[];
  readonly chains: readonly string[];
}

async function gainOf(
  { loudness }: EncodeSettings,
  { inputs, descriptors, chains }: Loud,
  limits: PlanLimits,
  signal: AbortSignal,
): Promise<number | undefined> {
  if (loudness === undefined || chains.length === 0) return undefined;
  return loudnessGainDb(loudness, inputs, descriptors, chains, analysisLimits(limits), signal);
}
