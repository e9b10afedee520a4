import { type Composition, type LayerKey, type Rational } from '@humancast/protocol';
import { HumancastError, PCM_RATE } from '@humancast/shared';
import {
  type EncodeSettings,
  type PlannedAudio,
  type PlannedRendition,
  planRenditions,
  segmentZero,
} from '../encode/encode-plan.js';
import { sourceMatrix, VIEWER_MATRIX, type ViewerMatrix } from '../encode/filter-graph.js';
import { chooseFrameRate, framesPerSecond, gopFramesOf } from '../encode/frame-rate.js';
import { displaySize, type Size } from '../encode/video-size.js';
import { type AudioTrack, endOf, type MediaInfo, type VideoTrack } from '../probe/media-info.js';
import { type PlacedLayer, placeLayers } from './layout.js';

/** An input of a composition, as probed. */
export interface ProbedInput {
  readonly info: MediaInfo;
  readonly audio: PlannedAudio | undefined;
  /** Descriptors of the files with the video and the audio, which may be the same one. */
  readonly videoDescriptor: number;
  readonly audioDescriptor: number;
}

/** One `-i` option of ffmpeg. */
interface PlannedInput {
  readonly name: string;
  readonly descriptor: number;
  readonly video: VideoTrack | undefined;
  readonly loop: boolean;
}

export interface PlannedLayer {
  /** Index of its {@link PlannedInput}. */
  readonly input: number;
  readonly video: VideoTrack;
  readonly zeroSeconds: number;
  readonly startFrames: number;
  /** Size to which the whole image is scaled, and size to which it is then cropped. */
  readonly scaled: Size;
  readonly cropped: Size;
  readonly x: number;
  readonly y: number;
  readonly key: LayerKey | undefined;
  /** Whether its last frame stays visible until the end. */
  readonly stays: boolean;
  /** Used length in s of the input's own time; the file must hold at least as much. */
  readonly usedSeconds: number;
}

export interface PlannedMixInput {
  readonly input: number;
  readonly track: AudioTrack;
  readonly weights: readonly number[] | undefined;
  readonly zeroSeconds: number;
  readonly startSeconds: number;
  readonly gainDb: number;
  readonly usedSeconds: number;
}

/** A composition's plan, made before any input is decoded. */
export interface CompositionPlan {
  readonly canvas: Size & {
    readonly background: string;
    readonly matrix: ViewerMatrix;
    /** Whether there is nothing behind the layers, instead of the background. */
    readonly isTransparent: boolean;
  };
  readonly fps: Rational;
  readonly gopFrames: number;
  readonly renditions: readonly PlannedRendition[];
  readonly frames: number;
  readonly inputs: readonly PlannedInput[];
  readonly layers: readonly PlannedLayer[];
  readonly mixInputs: readonly PlannedMixInput[];
  /** Gain that brings the mix to the requested loudness, dB; `undefined`: unchanged. */
  readonly loudnessGainDb?: number | undefined;
}

interface Timed {
  readonly probed: ProbedInput;
  readonly isStill: boolean;
  readonly zeroSeconds: number;
  /** Length from its zero to its end; `undefined` if the file doesn't state it. */
  readonly lengthSeconds: number | undefined;
}

/**
 * Plans a composition.
 * @param probed Inputs by name; it has all that the {@link Composition} names.
 * @throws HumancastError `composition_length_unknown`, `media_too_long`, `media_no_video`, `media_unreadable` (no audio),
 * `media_too_small`.
 */
export function planComposition(
  composition: Composition,
  probed: ReadonlyMap<string, ProbedInput>,
  settings: EncodeSettings,
  maxDurationSeconds: number,
): CompositionPlan {
  const placed = placeLayers(composition);
  const fps = settings.fps ?? composition.fps ?? fastest(placed, probed);
  const timed = new Map([...probed].map(([name, input]) => [name, timedInput(input, fps)]));
  const mixed = composition.audio ?? audioOfLayers(placed, timed);
  const startOf = (name: string) => (placed.find(({ input }) => input === name)?.startMs ?? 0) / 1000;
  const loops = (name: string) => placed.find(({ input }) => input === name)?.atEnd === 'loop';
  const lengthSeconds = lengthOf(composition, placed, mixed, timed, startOf);
  if (lengthSeconds > maxDurationSeconds) {
    throw new HumancastError('media_too_long', {
      detail: `the composition would last ${lengthSeconds.toFixed(1)} s; at most ${maxDurationSeconds} s are allowed`,
      extra: { durationSeconds: lengthSeconds, maxDurationSeconds },
    });
  }
  const frames = Math.max(1, Math.round(lengthSeconds * framesPerSecond(fps)));
  const seconds = frames / framesPerSecond(fps);
  const inputs: PlannedInput[] = [];
  const layers = placed.map((layer): PlannedLayer => {
    const { probed: input, isStill, zeroSeconds } = need(timed, layer.input);
    const video = videoOf(layer.input, input);
    const index = inputs.push({
      name: layer.input,
      descriptor: input.videoDescriptor,
      video,
      loop: layer.atEnd === 'loop' && !isStill,
    });
    const startFrames = Math.round((layer.startMs / 1000) * framesPerSecond(fps));
    return {
      input: index - 1,
      video,
      zeroSeconds,
      startFrames,
      ...fitted(layer, displaySize(video)),
      key: layer.key,
      stays: isStill || layer.atEnd !== 'disappear',
      usedSeconds: Math.max(0, seconds - startFrames / framesPerSecond(fps)),
    };
  });
  const mixInputs = mixed.map(({ input: name, gainDb }): PlannedMixInput => {
    const { probed: input, zeroSeconds } = need(timed, name);
    if (!input.audio)
      throw new HumancastError('media_unreadable', `input "${name}" is used as audio but has no audio track`);
    const { track, separate, weights } = input.audio;
    const seen = separate ? -1 : inputs.findIndex((other) => other.name === name);
    const index = seen >= 0 ? seen : inputs.push({ ...audioFileInput(name, input), loop: loops(name) }) - 1;
    return {
      input: index,
      track,
      weights,
      gainDb,
      startSeconds: startOf(name),
      zeroSeconds: separate ? track.startSeconds : zeroSeconds,
      usedSeconds: Math.max(0, seconds - startOf(name)),
    };
  });
  const { width, height, background } = composition;
  const renditions = planRenditions({ width, height }, settings);
  const matrix = mostFrequentMatrix(layers) ?? VIEWER_MATRIX[renditions[0]?.codec ?? 'vp8'];
  const canvas = { width, height, background, matrix, isTransparent: settings.alpha !== undefined };
  return { canvas, fps, gopFrames: gopFramesOf(settings.gopMs, fps), renditions, frames, inputs, layers, mixInputs };
}

/**
 * @returns The most frequent matrix of YUV layers: a layer with the canvas's matrix needs no conversion, which costs more
 * than the overlay.
 */
function mostFrequentMatrix(layers: readonly PlannedLayer[]): ViewerMatrix | undefined {
  const own = layers.map(({ video }) => (video.isRgb ? undefined : sourceMatrix(video)));
  const count = (matrix: ViewerMatrix) => own.filter((other) => other === matrix).length;
  if (count('bt709') === count('bt601')) return undefined;
  return count('bt709') > count('bt601') ? 'bt709' : 'bt601';
}

/** @returns The number of audio samples, which is the length of the video. */
export function samplesOf({ frames, fps }: Pick<CompositionPlan, 'frames' | 'fps'>): number {
  return Math.round((frames * fps.den * PCM_RATE) / fps.num);
}

function audioFileInput(name: string, { audioDescriptor }: ProbedInput): Omit<PlannedInput, 'loop'> {
  return { name, descriptor: audioDescriptor, video: undefined };
}

function videoOf(name: string, { info }: ProbedInput): VideoTrack {
  if (!info.video)
    throw new HumancastError('media_no_video', `input "${name}" is used as a layer but has no video track`);
  return info.video;
}

/** FFmpeg's names of still image containers. */
function isStillImage({ container }: MediaInfo): boolean {
  return /^(png|jpeg|webp|bmp)_pipe$/.test(container);
}

/** @returns The highest rate of the layers; 25 if there are only stills, which have none. */
function fastest(layers: readonly PlacedLayer[], probed: ReadonlyMap<string, ProbedInput>): Rational {
  const rates = layers.flatMap(({ input }) => {
    const info = need(probed, input).info;
    return info.video && !isStillImage(info) ? [chooseFrameRate(info.video)] : [];
  });
  const start: Rational = { num: 25, den: 1 };
  return rates.length === 0 ? start : rates.reduce((a, b) => (framesPerSecond(b) > framesPerSecond(a) ? b : a));
}

function timedInput(probed: ProbedInput, fps: Rational): Timed {
  const { info, audio } = probed;
  const isStill = isStillImage(info);
  const own = audio && !audio.separate ? audio.track : undefined;
  const zeroSeconds = info.video && own ? segmentZero(info.video, own, fps) : ((info.video ?? own)?.startSeconds ?? 0);
  const ends = isStill ? [] : [info.video && endOf(info.video), own && endOf(own)].filter((end) => end !== undefined);
  const separate = audio?.separate ? [(endOf(audio.track) ?? Number.NaN) - audio.track.startSeconds] : [];
  const lengths = [...ends.map((end) => end - zeroSeconds), ...separate].filter((length) => length > 0);
  const stated = isStill ? undefined : info.durationSeconds;
  return { probed, isStill, zeroSeconds, lengthSeconds: lengths.length > 0 ? Math.max(...lengths) : stated };
}

function audioOfLayers(layers: readonly PlacedLayer[], timed: ReadonlyMap<string, Timed>) {
  const names = new Set(layers.map(({ input }) => input));
  return [...names].filter((name) => need(timed, name).probed.audio).map((input) => ({ input, gainDb: 0 }));
}

/**
 * @returns The length of `lengthOf`, else of the longest layer that ends, else (all are stills or loops) of the longest
 * audio.
 */
function lengthOf(
  { lengthOf: named }: Composition,
  layers: readonly PlacedLayer[],
  mixed: readonly { readonly input: string }[],
  timed: ReadonlyMap<string, Timed>,
  startOf: (name: string) => number,
): number {
  const looping = new Set(layers.filter(({ atEnd }) => atEnd === 'loop').map(({ input }) => input));
  const ending = layers
    .map(({ input }) => input)
    .filter((name) => !looping.has(name) && !silentStill(need(timed, name)));
  const audible = mixed.map(({ input }) => input).filter((name) => !looping.has(name));
  const names = named === undefined ? (ending.length > 0 ? ending : audible) : [named];
  if (names.length === 0) {
    throw new HumancastError(
      'composition_length_unknown',
      'all layers are still images or loop; name the input that determines the length as "lengthOf"',
    );
  }
  const lengths = names.map((name) => {
    const { lengthSeconds } = need(timed, name);
    if (lengthSeconds !== undefined) return lengthSeconds + startOf(name);
    throw new HumancastError(
      'composition_length_unknown',
      `input "${name}" does not state its length; send MP4, WebM or WAV, or name another as "lengthOf"`,
    );
  });
  return Math.max(...lengths);
}

function silentStill({ isStill, probed }: Timed): boolean {
  return isStill && !probed.audio;
}

/** Fits a layer into its box. All figures are even, because 4:2:0 has one color sample for two pixels. */
function fitted({ box, fit }: PlacedLayer, display: Size): Pick<PlannedLayer, 'scaled' | 'cropped' | 'x' | 'y'> {
  const ratios = [box.width / display.width, box.height / display.height];
  const scale = fit === 'cover' ? Math.max(...ratios) : Math.min(...ratios);
  const scaled =
    fit === 'stretch'
      ? { width: even(box.width), height: even(box.height) }
      : { width: even(display.width * scale), height: even(display.height * scale) };
  const cropped = {
    width: Math.min(scaled.width, even(box.width)),
    height: Math.min(scaled.height, even(box.height)),
  };
  const x = even(box.x + (box.width - cropped.width) / 2, 0);
  return { scaled, cropped, x, y: even(box.y + (box.height - cropped.height) / 2, 0) };
}

function even(length: number, least = 2): number {
  return Math.max(least, 2 * Math.round(length / 2));
}

function need<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new HumancastError('composition_input_missing', `input "${name}" is missing`);
  return value;
}
