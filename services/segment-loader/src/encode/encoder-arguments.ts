import { inputOptions } from '../ffmpeg/input-options.js';
import { inputUrl, outputUrl } from '../ffmpeg/tool-process.js';
import type { VideoTrack } from '../probe/media-info.js';
import type { OutputRendition } from './encode-job.js';
import type { EncodePlan } from './encode-plan.js';
import { AUDIO_PAD, filterGraph, videoPad } from './filter-graph.js';
import { temporalLayers } from './temporal-layers.js';

export interface EncoderLimits {
  readonly maxPixels: number;
  /** Threads of one decoder or encoder. */
  readonly threads: number;
}

/** One `-i` option. */
export interface EncoderInput {
  /** The video track used of it. */
  readonly video: VideoTrack | undefined;
  /** Whether it loops endlessly. */
  readonly loop: boolean;
}

export interface EncoderOutputs {
  readonly renditions: readonly OutputRendition[];
  readonly gopFrames: number;
  readonly hasAudio: boolean;
}

/** @returns The arguments for the video's file, and the audio's if it is a separate one. */
export function fileArguments(plan: EncodePlan, limits: EncoderLimits): string[] {
  const { audio, renditions, gopFrames } = plan;
  const outputs = { renditions, gopFrames, hasAudio: audio !== undefined };
  return encoderArguments(fileInputs(plan), filterGraph(plan), outputs, limits);
}

export function fileInputs({ video, audio }: EncodePlan): EncoderInput[] {
  return [{ video, loop: false }, ...(audio?.separate ? [{ video: undefined, loop: false }] : [])];
}

/** @param graph Filter graph whose outputs are a {@link videoPad} for each rendition and the {@link AUDIO_PAD}. */
export function encoderArguments(
  inputs: readonly EncoderInput[],
  graph: string,
  { renditions, gopFrames, hasAudio }: EncoderOutputs,
  { maxPixels, threads }: EncoderLimits,
): string[] {
  return [
    // The file's own timestamps are kept: the graph shifts both tracks by the same amount.
    '-nostdin',
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'repeat+level+verbose',
    '-copyts',
    ...inputs.flatMap((input, i) => inputArguments(input, i, { maxPixels, threads })),
    '-filter_complex_threads',
    String(threads),
    '-filter_complex',
    graph,
    ...videoOutputs(renditions, renditions, gopFrames, inputs.length, threads),
    ...(hasAudio
      ? ['-map', AUDIO_PAD, '-c:a', 'pcm_s16le', '-f', 's16le', outputUrl(renditions.length, inputs.length)]
      : []),
  ];
}

/**
 * @param ladder All renditions of the segment, of which these are encoded now.
 * @returns The arguments that encode the graph's {@link videoPad}s.
 */
export function videoOutputs(
  renditions: readonly OutputRendition[],
  ladder: readonly Pick<OutputRendition, 'codec' | 'bitrateBps'>[],
  gopFrames: number,
  inputCount: number,
  threads: number,
): string[] {
  return renditions.flatMap((rendition, i) => [
    '-map',
    videoPad(i),
    '-fps_mode',
    'passthrough',
    '-threads',
    String(threads),
    ...codecOptions(rendition, gopFrames),
    ...Object.entries(temporalLayers(rendition, ladder)).flatMap(([name, value]) => [`-${name}`, value]),
    outputUrl(i, inputCount),
  ]);
}

/** @returns The arguments that output one raw image, the graph's `[whole]`. */
export function imageArguments(inputs: readonly EncoderInput[], graph: string, limits: EncoderLimits): string[] {
  return [
    '-nostdin',
    '-hide_banner',
    '-nostats',
    '-loglevel',
    'error',
    ...inputs.flatMap((input, i) => inputArguments(input, i, limits)),
    '-filter_complex_threads',
    String(limits.threads),
    '-filter_complex',
    graph,
    '-map',
    '[whole]',
    '-frames:v',
    '1',
    '-f',
    'rawvideo',
    outputUrl(0, inputs.length),
  ];
}

export function inputArguments(
  { video, loop }: EncoderInput,
  index: number,
  { maxPixels, threads }: EncoderLimits,
): string[] {
  return [
    ...inputOptions(maxPixels),
    '-threads',
    String(threads),
    ...(loop ? ['-stream_loop', '-1'] : []),
    // Video that changes its size is scaled; a rebuilt graph would restart the frame count.
    ...(video ? ['-reinit_filter:v', '0', '-noautorotate', ...alphaDecoder(video)] : []),
    '-i',
    inputUrl(index),
  ];
}

/** FFmpeg's native VP8 and VP9 decoders ignore the alpha channel. */
function alphaDecoder({ hasAlpha, codec, index }: VideoTrack): string[] {
  const decoder = hasAlpha ? { vp8: 'libvpx', vp9: 'libvpx-vp9' }[codec] : undefined;
  return decoder ? [`-c:${index}`, decoder] : [];
}

/**
 * Keyframes come exactly every `gopFrames`; there are no hidden frames and no B-frames. The rate is held within one second,
 * so that a keyframe is not a burst many times the size of its neighbors.
 */
function codecOptions({ codec, bitrateBps }: OutputRendition, gopFrames: number): string[] {
  const rate = String(bitrateBps);
  const gop = String(gopFrames);
  const common = ['-b:v', rate, '-maxrate', rate, '-bufsize', rate, '-g', gop, '-keyint_min', gop];
  // libvpx holds a constant bitrate if minimum and maximum equal it.
  return codec === 'vp8' ? [...VP8, ...common, '-minrate', rate, '-f', 'ivf'] : [...H264, ...common, '-f', 'h264'];
}

const VP8 = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '-8', '-lag-in-frames', '0', '-auto-alt-ref', '0'];

/** Constrained baseline; the parser splits the stream at access unit delimiters. */
const H264 = [
  '-c:v',
  'libx264',
  '-preset',
  'superfast',
  '-profile:v',
  'baseline',
  '-bf',
  '0',
  '-sc_threshold',
  '0',
  '-x264-params',
  'aud=1',
  '-color_range',
  'tv',
  '-colorspace',
  'bt709',
  '-color_primaries',
  'bt709',
  '-color_trc',
  'bt709',
];
