import {
  AUDIO_PAD,
  audioFilters,
  decimal,
  finishAudio,
  linearSource,
  onGrid,
  premultiplied,
  renditionChains,
  sourceMatrix,
  toScreen,
  upright,
  type ViewerMatrix,
} from '../encode/filter-graph.js';
import type { Size } from '../encode/video-size.js';
import type { VideoTrack } from '../probe/media-info.js';
import { type CompositionPlan, type PlannedLayer, type PlannedMixInput, samplesOf } from './composition-plan.js';

const base = (index: number) => `[b${index}]`;
const layerPad = (index: number) => `[l${index}]`;
const mixPad = (index: number) => `[m${index}]`;

/**
 * Builds one filter graph for all inputs: the background, with the layers overlaid in order. All inputs share one frame
 * grid, so an input of another rate, a late one or one that has ended never blocks the others.
 */
export function compositionGraph(plan: CompositionPlan): string {
  const { canvas, layers, frames, renditions } = plan;
  const track = canvasTrack(canvas);
  const finished = canvas.isTransparent ? premultiplied(track) : [];
  return [
    background(plan),
    ...layers.flatMap((layer, i) => [layerChain(layer, i, plan), overlay(layer, i)]),
    `${base(layers.length)}${[`trim=end_frame=${frames}`, ...finished].join(',')}[whole]`,
    ...renditionChains('[whole]', track, renditions),
    ...mixChains(plan),
  ].join(';');
}

/** Background image, converted once and repeated endlessly. */
function background({ canvas, fps }: CompositionPlan): string {
  const { width, height, background: color, matrix, isTransparent } = canvas;
  const rate = `${fps.num}/${fps.den}`;
  const image = (fill: string) => `color=c=${fill}:s=${width}x${height}:r=${rate},trim=end_frame=1`;
  const opaque = ['format=rgb24', `scale=out_color_matrix=${matrix}:out_range=tv`, 'format=yuv420p'];
  return `${[
    ...(isTransparent ? [image('black@0'), 'format=yuva420p'] : [image(ffmpegColor(color)), ...opaque]),
    'setsar=1',
    `loop=loop=-1:size=1:start=0,settb=${fps.den}/${fps.num},setpts=N`,
  ].join(',')}${base(0)}`;
}

function layerChain(layer: PlannedLayer, index: number, { fps, canvas }: CompositionPlan): string {
  const { input, video, zeroSeconds, startFrames } = layer;
  return `[${input}:${video.index}]${[
    ...onGrid(video, zeroSeconds, fps),
    ...layerFilters(layer, canvas.matrix),
    // After `fps`, timestamps count frames.
    ...(startFrames > 0 ? [`setpts=PTS+${startFrames}`] : []),
  ].join(',')}${layerPad(index)}`;
}

/** @returns Filters from an input's video to the part that is overlaid, with an alpha channel. */
export function layerFilters(layer: PlannedLayer, matrix: ViewerMatrix): string[] {
  const { scaled, cropped } = layer;
  const crop = scaled.width > cropped.width || scaled.height > cropped.height;
  return [
    ...videoFilters(layer, `w=${scaled.width}:h=${scaled.height}`, matrix),
    ...(crop ? [`crop=${cropped.width}:${cropped.height}`] : []),
    'setsar=1',
  ];
}

/**
 * Builds the graph that merges the first frames of some layers, over the background or transparency, into one image:
 * `[whole]`.
 */
export function stillGraph(
  plan: CompositionPlan,
  layers: readonly PlannedLayer[],
  over: 'background' | 'nothing',
): string {
  const { width, height } = plan.canvas;
  const nothing = `color=c=black@0:s=${width}x${height}:r=1,trim=end_frame=1,format=yuva420p${base(0)}`;
  return [
    over === 'background' ? background(plan) : nothing,
    ...layers.flatMap((layer, i) => [
      `[${layer.input}:${layer.video.index}]${['trim=end_frame=1', 'setpts=0', ...upright(layer.video), ...layerFilters(layer, plan.canvas.matrix)].join(',')}${layerPad(i)}`,
      overlay({ ...layer, stays: true }, i),
    ]),
    `${base(layers.length)}trim=end_frame=1,format=${over === 'background' ? 'yuv420p' : 'yuva420p'}[whole]`,
  ].join(';');
}

function videoFilters({ video, key }: PlannedLayer, size: string, matrix: ViewerMatrix): string[] {
  const linear = linearSource(video);
  const scale = `scale=${size}`;
  const own = video.isRgb ? 'auto' : sourceMatrix(video);
  const into = `out_color_matrix=${matrix}:out_range=tv`;
  if (linear) return [scale, ...toScreen(linear, matrix), 'format=yuva420p'];
  if (key === 'alpha' || key === undefined) return [`${scale}:in_color_matrix=${own}:${into}`, 'format=yuva420p'];
  // `colorkey` compares in RGB, in which a producer knows the color; `chromakey` would compare in the file's own YUV.
  return [
    `${scale}:in_color_matrix=${own}`,
    'format=rgba',
    `colorkey=${ffmpegColor(key.color)}:${key.similarity}:${key.blend}`,
    `scale=${into}`,
    'format=yuva420p',
  ];
}

function overlay({ x, y, stays }: PlannedLayer, index: number): string {
  const atEnd = stays ? 'repeat' : 'pass';
  const options = `x=${x}:y=${y}:eval=init:format=yuv420:eof_action=${atEnd}`;
  return `${base(index)}${layerPad(index)}overlay=${options}${base(index + 1)}`;
}

/** @returns A video track that describes a raw image: upright, with square pixels. */
export function rawTrack({ width, height }: Size): Omit<VideoTrack, 'colorMatrix'> {
  return {
    index: 0,
    codec: 'rawvideo',
    width,
    height,
    orientation: 1,
    hasOrientationSei: false,
    pixelAspect: { num: 1, den: 1 },
    hasAlpha: false,
    isInterlaced: false,
    isRgb: false,
    colorTransfer: undefined,
    colorPrimaries: undefined,
    averageRate: undefined,
    nominalRate: undefined,
    frameTimes: undefined,
    content: undefined,
    startSeconds: 0,
    endSeconds: undefined,
  };
}

function canvasTrack({ width, height, matrix }: CompositionPlan['canvas']): VideoTrack {
  return { ...rawTrack({ width, height }), colorMatrix: matrix === 'bt601' ? 'smpte170m' : 'bt709' };
}

/**
 * Builds the chains that mix the audio. Gains are the producer's: the sum is not attenuated by the number of inputs, and is
 * limited below full scale.
 */
export function mixChains(plan: CompositionPlan): string[] {
  const { mixInputs, loudnessGainDb } = plan;
  if (mixInputs.length === 0) return [];
  const cut = `atrim=end_sample=${samplesOf(plan)}`;
  const mix = mixInputs.length > 1 ? [`amix=inputs=${mixInputs.length}:duration=longest:normalize=0`] : [];
  const finish = [...mix, ...finishAudio(loudnessGainDb), cut].join(',');
  return [
    ...mixInputs.map((mixInput, i) => `${mixInputChain(mixInput)}${mixPad(i)}`),
    `${mixInputs.map((_, i) => mixPad(i)).join('')}${finish}${AUDIO_PAD}`,
  ];
}

function mixInputChain({ input, track, weights, zeroSeconds, startSeconds, gainDb }: PlannedMixInput): string {
  const origin = `(${decimal(zeroSeconds - startSeconds)})/TB`;
  const gain = gainDb === 0 ? [] : [`volume=${gainDb}dB:precision=float`];
  return `[${input}:${track.index}]${[...audioFilters(origin, track, weights), ...gain].join(',')}`;
}

function ffmpegColor(color: string): string {
  return `0x${color.slice(1)}`;
}
