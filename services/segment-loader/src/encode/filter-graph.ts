import { type Codec, type Rational } from '@humancast/protocol';
import { PCM_RATE } from '@humancast/shared';
import type { AudioTrack, VideoTrack } from '../probe/media-info.js';
import { AHEAD_SECONDS, BACK_SECONDS } from '../probe/packet-scan.js';
import type { EncodePlan, PlannedRendition } from './encode-plan.js';
import { stacked } from './stacked.js';

/**
 * The matrix that a viewer's decoder assumes: VP8 knows only BT.601 (RFC 6386 §9.2, color_space; Chromium does so at every
 * size), H.264 signals BT.709 in its VUI (see `codecOptions`).
 */
export type ViewerMatrix = 'bt601' | 'bt709';
export const VIEWER_MATRIX: Readonly<Record<Codec, ViewerMatrix>> = { vp8: 'bt601', h264: 'bt709' };

/** FFmpeg's scaler names of matrices; it detects the others itself or can't convert them. */
const SCALER_MATRIX: Readonly<Record<string, string>> = {
  bt709: 'bt709',
  smpte170m: 'bt601',
  bt470bg: 'bt601',
  fcc: 'fcc',
  bt2020nc: 'bt2020',
  bt2020c: 'bt2020',
};

/** The video output pad of a rendition. */
export const videoPad = (index: number) => `[v${index}]`;
export const AUDIO_PAD = '[a]';
const WHOLE = '[whole]';

/**
 * Builds one filter graph for the whole file, from numbers and our own strings only. Frames come out at k/fps; both tracks
 * count from the plan's zero.
 */
export function filterGraph(plan: EncodePlan): string {
  const { video, renditions } = plan;
  return [
    `[0:${video.index}]${[...onGrid(video, plan.zeroSeconds, plan.fps), ...merged(video, renditions)].join(',')}${WHOLE}`,
    ...renditionChains(WHOLE, video, renditions),
    ...audioChains(plan),
  ].join(';');
}

/** @returns The chains from the file that has the audio to the {@link AUDIO_PAD}; none if there is no audio. */
export function audioChains({ audio, zeroSeconds, loudnessGainDb }: EncodePlan): string[] {
  if (!audio) return [];
  const { track, weights, separate } = audio;
  const origin = separate ? 'STARTPTS' : `(${decimal(zeroSeconds)})/TB`;
  const filters = [...audioFilters(origin, track, weights), ...finishAudio(loudnessGainDb)];
  return [`[${separate ? 1 : 0}:${track.index}]${filters.join(',')}${AUDIO_PAD}`];
}

/** Filters that turn an image upright, by EXIF orientation from 2 on. */
const UPRIGHT = [
  'hflip',
  'hflip,vflip',
  'vflip',
  'transpose=cclock_flip',
  'transpose=clock',
  'transpose=clock_flip',
  'transpose=cclock',
];

/** ffmpeg's own rotation is off (`-noautorotate`), so that plan and output use the same orientation. */
export function upright({ orientation }: VideoTrack): string[] {
  const filters = UPRIGHT[orientation - 2];
  return filters === undefined ? [] : [filters];
}

/** @returns Filters that put whole frames at k/fps, from the zero of the file's clock on. */
export function onGrid(video: VideoTrack, zeroSeconds: number, { num, den }: Rational): string[] {
  // Frames not marked as interlaced pass unchanged.
  const progressive = video.isInterlaced ? ['yadif=mode=send_frame:deint=interlaced'] : [];
  const clock = `setpts='${onOneClock(video)}-(${decimal(zeroSeconds)})/TB'`;
  const grid = `fps=fps=${num}/${den}:start_time=0`;
  const laid = [...progressive, ...upright(video), clock];
  if (video.content?.packets !== 1) return [...laid, grid];
  // A frame shorter than half a slot would be rounded away; a single frame is the whole video (a recording of a static
  // scene).
  return [...laid, `tpad=stop_mode=clone:stop_duration=${decimal(den / num)}`, grid, 'trim=end_frame=1'];
}

/**
 * @returns The chains from one pad, with video like `video`, to the pads of all renditions. Each rung of a ladder is scaled
 * from the next larger one, so that only the largest is converted at the source's size.
 */
export function renditionChains(from: string, video: VideoTrack, renditions: readonly PlannedRendition[]): string[] {
  const parents = renditions.map((rendition) => nextLarger(rendition, renditions));
  const childrenOf = (parent: PlannedRendition | undefined) =>
    parents.flatMap((each, i) => (each === parent ? [`[s${i}]`] : []));
  const roots = childrenOf(undefined);
  return [
    `${from}split=${roots.length}${roots.join('')}`,
    ...renditions.map((rendition, i) => {
      const filters = parents[i] ? rescaled(rendition) : videoFilters(video, rendition);
      const children = childrenOf(rendition);
      const copies = children.length > 0 ? [`split=${1 + children.length}`] : [];
      const own = rendition.alpha ? `[p${i}]` : videoPad(i);
      const chain = `[s${i}]${[...filters, ...copies].join(',')}${own}${children.join('')}`;
      return rendition.alpha ? `${chain};${own}${stacked(`m${i}`)}${videoPad(i)}` : chain;
    }),
  ];
}

/** @returns The smallest of the larger renditions of the same codec, and so of the same matrix. */
function nextLarger(
  { codec, width, height }: PlannedRendition,
  renditions: readonly PlannedRendition[],
): PlannedRendition | undefined {
  const contains = (other: PlannedRendition) =>
    other.width >= width && other.height >= height && other.width * other.height > width * height;
  return renditions
    .filter((other) => other.codec === codec && contains(other))
    .toSorted((a, b) => a.width * a.height - b.width * b.height)[0];
}

function rescaled(rendition: PlannedRendition): string[] {
  return [`scale=${pictureSize(rendition)}`, 'setsar=1'];
}

/** The size of what is seen: a matte takes half of the coded height. */
function pictureSize({ width, height, alpha }: PlannedRendition): string {
  return `w=${width}:h=${alpha ? height / 2 : height}`;
}

/** Multiplies colors with alpha, so that scaling, subsampling and coding errors near an edge never bring in what is behind it. */
export function premultiplied(video: VideoTrack): string[] {
  const toRgb = video.isRgb ? [] : [`scale=in_color_matrix=${sourceMatrix(video)}`];
  return [...toRgb, 'format=gbrap', 'premultiply=inplace=1'];
}

/** Composites transparent video over black, unless it is to stay transparent. */
function merged(video: VideoTrack, renditions: readonly PlannedRendition[]): string[] {
  if (renditions.some(({ alpha }) => alpha)) return premultiplied(video);
  return video.hasAlpha ? ['format=gbrap', 'premultiply=inplace=1', 'format=gbrp'] : [];
}

function videoFilters(video: VideoTrack, rendition: PlannedRendition): string[] {
  const size = pictureSize(rendition);
  const to = VIEWER_MATRIX[rendition.codec];
  if (rendition.alpha) {
    const hdr = linearSource({ ...video, isRgb: true, hasAlpha: true });
    const converted = hdr ? [`scale=${size}`, ...toScreen(hdr, to)] : scaled(size, 'auto', to);
    return [...converted, 'format=yuva420p', 'setsar=1'];
  }
  // Over black, it is RGB already.
  const linear = linearSource({ ...video, isRgb: video.isRgb || video.hasAlpha });
  if (linear) return [`scale=${size}`, ...toScreen(linear, to), ...FINISH];
  const from = video.isRgb || video.hasAlpha ? 'rgb' : sourceMatrix(video);
  // The scaler converts between matrices via RGB; from HD to VP8, the most frequent case, there is a shorter way.
  if (from === 'bt709' && to === 'bt601') return [...scaled(size, from, from), ...FINISH, BT709_TO_BT601];
  return [...scaled(size, from === 'rgb' ? 'auto' : from, to), ...FINISH];
}

/** With unchanged primaries and transfer, this is one matrix, without a conversion to linear light. */
const BT709_TO_BT601 = [
  'colorspace=ispace=bt709:iprimaries=bt709:itrc=bt709:irange=tv',
  'space=smpte170m:primaries=bt709:trc=bt709:range=tv',
].join(':');

const FINISH = ['format=yuv420p', 'setsar=1'];

function scaled(size: string, from: string, to: string): string[] {
  return [`scale=${size}:in_color_matrix=${from}:out_color_matrix=${to}:out_range=tv`];
}

/** @returns The track's matrix; if the file states none, the one that players assume for its size. */
export function sourceMatrix(video: VideoTrack): string {
  if (video.colorMatrix !== undefined) return SCALER_MATRIX[video.colorMatrix] ?? 'auto';
  return Math.min(video.width, video.height) >= 720 ? 'bt709' : 'bt601';
}

/** Color properties in zscale's names, for video that differs from what a screen shows. */
export interface LinearSource {
  readonly primaries: string;
  readonly transfer: string;
  /** `undefined`: signaled by the frames. */
  readonly matrix: string | undefined;
  readonly isHdr: boolean;
  readonly hasAlpha: boolean;
}

const HDR_TRANSFER: Readonly<Record<string, string>> = { smpte2084: 'smpte2084', 'arib-std-b67': 'arib-std-b67' };
const WIDE_PRIMARIES: Readonly<Record<string, string>> = { bt2020: '2020', smpte432: 'smpte432', smpte431: 'smpte431' };

/** @returns `undefined` unless the video has a high dynamic range (PQ, HLG) or primaries wider than BT.709. */
export function linearSource(video: VideoTrack): LinearSource | undefined {
  const { colorTransfer, colorPrimaries, colorMatrix, isRgb, hasAlpha } = video;
  const hdr = HDR_TRANSFER[colorTransfer ?? ''];
  const isBt2020 = /^bt2020/.test(colorMatrix ?? '');
  const primaries = WIDE_PRIMARIES[colorPrimaries ?? (isBt2020 ? 'bt2020' : '')];
  if (!hdr && !primaries) return undefined;
  return {
    primaries: primaries ?? (hdr && colorPrimaries === undefined ? '2020' : '709'),
    transfer: hdr ?? '709',
    matrix: colorMatrix === undefined && !isRgb ? (hdr ? '2020_ncl' : '709') : undefined,
    isHdr: hdr !== undefined,
    hasAlpha,
  };
}

/** Luminance of diffuse white, cd/m² (ITU-R BT.2408). */
const WHITE_NITS = 203;
/** Luminance, in units of diffuse white, above which all is white: 1000 cd/m², the display of HLG and of most PQ. */
const PEAK = (1000 / WHITE_NITS).toFixed(4);

/**
 * Converts video to what a screen shows. Tone mapping keeps everything up to 30 % of white (a face) unchanged and compresses
 * brighter values, all three colors alike, so that no hue changes.
 */
export function toScreen({ primaries, transfer, matrix, isHdr, hasAlpha }: LinearSource, to: ViewerMatrix): string[] {
  const own = `tin=${transfer}:pin=${primaries}${matrix ? `:min=${matrix}` : ''}`;
  return [
    `zscale=${own}:t=linear:npl=${isHdr ? WHITE_NITS : 100}`,
    `format=${hasAlpha ? 'gbrapf32le' : 'gbrpf32le'}`,
    'zscale=p=709',
    ...(isHdr ? [`tonemap=tonemap=mobius:param=0.3:peak=${PEAK}:desat=0`] : []),
    `zscale=t=709:m=${to === 'bt601' ? '170m' : '709'}:r=limited`,
  ];
}

/**
 * Produces mono at the stored rate in floating point, aligned to the sample at the start, and kept in sync with the file's
 * timestamps. A clock that is up to 5 % fast or slow is followed by resampling, with less than 30 ms between audio and
 * timestamps; a gap of more than 50 ms becomes silence. Deviations below 2 ms are rounding (WebM and FLV count whole
 * milliseconds).
 * @param weights Weight of each channel, see `downmixWeights`.
 */
export function audioFilters(origin: string, track: AudioTrack, weights?: readonly number[]): string[] {
  return [
    `asetpts='${onOneClock(track)}-${origin}'`,
    ...downmix(track, weights),
    `aresample=${PCM_RATE}:min_comp=0.002:comp_duration=0.5:max_soft_comp=0.05:min_hard_comp=0.05:first_pts=0`,
    'aformat=sample_fmts=flt:channel_layouts=mono',
  ];
}

/** Mixes down with explicit weights, because FFmpeg fails without a channel layout. */
function downmix(
  { channelLayout, channels = 1 }: AudioTrack,
  weights = equalWeights(channelLayout, channels),
): string[] {
  if (!weights) return [];
  const layout = isLayoutName(channelLayout) ? `:channel_layouts=${channelLayout}` : '';
  const sum = weights.map((weight, i) => `${weight.toFixed(6)}*c${i}`).join('+');
  return [`aformat=sample_fmts=flt${layout}`, `pan=mono|c0=${sum}`];
}

function equalWeights(layout: string | undefined, channels: number): readonly number[] | undefined {
  return layout === undefined && channels > 2 ? new Array<number>(channels).fill(1 / channels) : undefined;
}

/** Accepts FFmpeg's own names only: the spelling of other layouts changes between versions. */
function isLayoutName(layout: string | undefined): layout is string {
  return /^[a-z0-9.]+(\([a-z-]+\))?$/.test(layout ?? '');
}

/** Limiter ceiling just below full scale; louder sums are attenuated briefly instead of clipped. */
const CEILING = 0.988;
/** Ceiling of −1.5 dBFS at four times the stored rate, which stays below −1 dBTP at the stored rate (EBU R 128 s1). */
const TRUE_PEAK_CEILING = 0.841;

/**
 * @returns Filters from floating point to the stored format, never above full scale.
 * @param gainDb Gain of the requested loudness.
 */
export function finishAudio(gainDb?: number): string[] {
  const limiter = (ceiling: number) => `alimiter=limit=${ceiling}:level=0:latency=1:attack=5:release=50`;
  const limited =
    gainDb === undefined
      ? [limiter(CEILING)]
      : [
          `volume=${decimal(gainDb)}dB:precision=float`,
          `aresample=${4 * PCM_RATE}`,
          limiter(TRUE_PEAK_CEILING),
          `aresample=${PCM_RATE}`,
        ];
  return [...limited, 'aformat=sample_fmts=s16:channel_layouts=mono'];
}

/**
 * @returns The timestamp of a frame on a clock without jumps, as an expression for `setpts` and `asetpts`. It detects jumps
 * with the packet scan's thresholds, and adds the shift found for each.
 */
function onOneClock({ content }: Pick<AudioTrack, 'content'>): string {
  const shifts = content?.shifts ?? [];
  if (shifts.every((shift) => shift === 0)) return 'PTS';
  const jump = `lt(PTS,PREV_INPTS-${BACK_SECONDS}/TB)+gt(PTS,PREV_INPTS+${AHEAD_SECONDS}/TB)`;
  const shift = shifts.map((seconds, i) => `eq(ld(0),${i + 1})*(${decimal(seconds)})`).join('+');
  return `PTS+0*st(0,ld(0)+${jump})+(${shift})/TB`;
}

/** Formats a number without exponent notation, which the expression parser does not support. */
export function decimal(seconds: number): string {
  return seconds.toFixed(6);
}
