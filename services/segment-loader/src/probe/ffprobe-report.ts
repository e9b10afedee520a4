import { HumancastError } from '@humancast/shared';
import { z } from 'zod';
import type { AudioTrack, MediaInfo, VideoTrack } from './media-info.js';
import { orientationOf, sideDataSchema } from './orientation.js';
import { rationalSchema as rational } from './rational.js';

/** Sections and fields requested from ffprobe: those read below, none of which a file can make long. */
export const REPORT_ENTRIES = [
  'stream=index,codec_type,codec_name,width,height,pix_fmt,color_space,color_transfer,color_primaries,sample_aspect_ratio,field_order,' +
    'avg_frame_rate,r_frame_rate,start_time,duration,sample_rate,sample_fmt,channels,channel_layout',
  'stream_tags=alpha_mode,DURATION',
  'stream_disposition=default,attached_pic',
  'stream_side_data=displaymatrix',
  'format=format_name,duration',
  'chapter=start_time',
].join(':');

const figure = z.coerce.number().refine(Number.isFinite).optional().catch(undefined);
const known = z
  .string()
  .transform((name) => (name === 'unknown' || name === 'unspecified' ? undefined : name))
  .optional();

const streamSchema = z.object({
  index: z.int(),
  codec_type: z.string().optional(),
  codec_name: z.string().default('unknown'),
  width: z.int().default(0),
  height: z.int().default(0),
  pix_fmt: z.string().default(''),
  color_space: known,
  color_transfer: known,
  color_primaries: known,
  sample_aspect_ratio: rational,
  field_order: z.string().optional(),
  avg_frame_rate: rational,
  r_frame_rate: rational,
  start_time: figure,
  duration: figure,
  sample_rate: figure,
  sample_fmt: known,
  channels: figure,
  channel_layout: known,
  disposition: z.object({ default: z.int(), attached_pic: z.int() }).default({ default: 0, attached_pic: 0 }),
  tags: z.object({ alpha_mode: z.string().optional(), DURATION: z.string().optional() }).default({}),
  side_data_list: sideDataSchema,
});
type Stream = z.infer<typeof streamSchema>;

const reportSchema = z.object({
  streams: z.array(streamSchema).default([]),
  format: z.object({ format_name: z.string(), duration: figure }),
  chapters: z.array(z.object({ start_time: figure })).default([]),
});

/** More chapters than anyone sets by hand. */
const CHAPTER_LIMIT = 1000;

/** Containers whose header or index states a duration; elsewhere it is FFmpeg's estimate. */
const STATES_DURATION = /^(mov|matroska|avi|flv|asf|ogg|wav|nut|mxf|flac|aiff|caf|w64)/;

/**
 * Reads the output of ffprobe, which is truncated for files with thousands of streams.
 * @param packets As in {@link parseReport}.
 * @throws HumancastError `media_unreadable` if it is not a report.
 */
export function readReport(text: string, packets?: ReadonlyMap<number, number>): MediaInfo {
  try {
    return parseReport(JSON.parse(text), packets);
  } catch (cause) {
    throw new HumancastError('media_unreadable', { detail: 'the output of ffprobe could not be parsed', cause });
  }
}

/**
 * Parses a report of ffprobe.
 * @param packets Number of packets by stream index; `undefined` if not counted.
 * @throws ZodError if this is not a report of ffprobe.
 */
export function parseReport(json: unknown, packets?: ReadonlyMap<number, number>): MediaInfo {
  const { streams, format, chapters } = reportSchema.parse(json);
  const stated = STATES_DURATION.test(format.format_name);
  const video = moving(
    streams.filter((s) => s.codec_type === 'video' && s.disposition.attached_pic === 0),
    packets,
  );
  const audioStreams = streams.filter((s) => s.codec_type === 'audio');
  const decodable = audioStreams.filter((s) => s.sample_fmt !== undefined && (s.sample_rate ?? 0) > 0);
  const audio = preferred(withPackets(decodable, packets));
  return {
    container: format.format_name,
    durationSeconds: stated ? format.duration : undefined,
    video: video && videoTrack(video, stated),
    audio: audio && audioTrack(audio, stated),
    undecodable: audio ? [] : audioStreams.map(({ index, codec_name: codec }) => ({ index, codec })),
    chapterSeconds: chapters.slice(0, CHAPTER_LIMIT).flatMap((chapter) => chapter.start_time ?? []),
  };
}

/** @returns The moving video, regardless of the default flag, because a cover image may be an ordinary track. */
function moving(streams: readonly Stream[], packets: ReadonlyMap<number, number> | undefined): Stream | undefined {
  const known = streams.filter(({ width, height }) => width > 0 && height > 0);
  const candidates = known.length > 0 ? known : streams;
  const many = candidates.filter(({ index }) => (packets?.get(index) ?? 0) > 1);
  return preferred(many.length > 0 ? many : withPackets(candidates, packets));
}

/** @returns The streams with packets; all streams if none has any. */
function withPackets(streams: readonly Stream[], packets: ReadonlyMap<number, number> | undefined): readonly Stream[] {
  const filled = streams.filter(({ index }) => (packets?.get(index) ?? 0) > 0);
  return filled.length > 0 ? filled : streams;
}

/** @returns The default track, else the first. */
function preferred(streams: readonly Stream[]): Stream | undefined {
  return streams.find((stream) => stream.disposition.default === 1) ?? streams[0];
}

function videoTrack(stream: Stream, stated: boolean): VideoTrack {
  const aspect = stream.sample_aspect_ratio;
  return {
    index: stream.index,
    codec: stream.codec_name,
    width: stream.width,
    height: stream.height,
    orientation: orientationOf(stream.side_data_list) ?? 1,
    hasOrientationSei: false,
    pixelAspect: aspect ?? { num: 1, den: 1 },
    hasAlpha: /^(yuva|rgba|bgra|argb|abgr|gbrap|ya\d|pal8)/.test(stream.pix_fmt) || stream.tags.alpha_mode === '1',
    isInterlaced: mayBeInterlaced(stream),
    colorMatrix: stream.color_space,
    colorTransfer: stream.color_transfer,
    colorPrimaries: stream.color_primaries,
    isRgb: /^(rgb|bgr|argb|abgr|0rgb|0bgr|gbr|pal8|x2rgb)/.test(stream.pix_fmt),
    averageRate: stream.avg_frame_rate,
    nominalRate: stream.r_frame_rate,
    frameTimes: undefined,
    content: undefined,
    startSeconds: stream.start_time ?? 0,
    endSeconds: stated ? endOf(stream) : undefined,
  };
}

/** Codecs whose frames signal interlacing even if the container does not. */
const INTERLACING =
  /^(h264|hevc|vc1|mpeg1video|mpeg2video|mpeg4|dvvideo|prores|dnxhd|mjpeg|rawvideo|ffv1|huffyuv|utvideo)$/;

function mayBeInterlaced({ codec_name: codec, field_order: order = 'unknown' }: Stream): boolean {
  return /^(tt|bb|tb|bt)$/.test(order) || (order === 'unknown' && INTERLACING.test(codec));
}

function audioTrack(stream: Stream, stated: boolean): AudioTrack {
  return {
    index: stream.index,
    codec: stream.codec_name,
    sampleRate: stream.sample_rate,
    channels: stream.channels,
    channelLayout: stream.channel_layout,
    content: undefined,
    startSeconds: stream.start_time ?? 0,
    endSeconds: stated ? endOf(stream) : undefined,
  };
}

/** @returns The end of a track. Matroska keeps it in a tag; other containers give start and length. */
function endOf(stream: Stream): number | undefined {
  const tag = /^(\d+):(\d\d):(\d\d(?:\.\d+)?)$/.exec(stream.tags.DURATION ?? '');
  if (tag) return Number(tag[1]) * 3600 + Number(tag[2]) * 60 + Number(tag[3]);
  return stream.duration === undefined ? undefined : (stream.start_time ?? 0) + stream.duration;
}
