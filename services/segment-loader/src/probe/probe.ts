import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { HumancastError } from '@humancast/shared';
import { inputOptions } from '../ffmpeg/input-options.js';
import { type RefusedSize, refusedSize } from '../ffmpeg/refused-size.js';
import { inputUrl, ToolProcess } from '../ffmpeg/tool-process.js';
import { containerEnd, stillBrand } from './container-end.js';
import { REPORT_ENTRIES, readReport } from './ffprobe-report.js';
import { type FirstFrame, FRAME_ENTRIES, parseFirstFrame } from './first-frame.js';
import { frameTimesOf } from './frame-times.js';
import type { AudioTrack, MediaInfo, VideoTrack } from './media-info.js';
import { MAX_JUMPS, PACKET_ENTRIES, PacketScan, type ScannedStream } from './packet-scan.js';

const TIMEOUT_MS = 30_000;
/** All packets are read, none is decoded: as fast as the disk is. */
const SCAN_TIMEOUT_MS = 120_000;
const REPORT_LIMIT_BYTES = 1024 * 1024;
const STDERR_LIMIT_BYTES = 64 * 1024;
/** A stream that starts in the middle has a keyframe within some seconds. */
const MAX_FIRST_PACKETS = 600;

interface ProbeOptions {
  readonly descriptor: number;
  readonly maxPixels: number;
  readonly signal: AbortSignal;
}

/**
 * Reads what a file says about itself, the timestamps of all its packets, and how its first frame is drawn.
 * @param descriptor of the open file; its position is neither used nor moved.
 * @throws HumancastError `media_unreadable`, `media_truncated` (its index is missing), `media_joined`,
 * `media_timestamps`, `media_too_large`, `encoder_failed`; the signal's reason.
 */
export async function probe(descriptor: number, maxPixels: number, signal: AbortSignal): Promise<MediaInfo> {
  const giveUp = new AbortController();
  const options = { descriptor, maxPixels, signal: AbortSignal.any([signal, giveUp.signal]) };
  const scanning = scanPackets(options);
  // What the header says comes first, and is reason enough to give up the scan.
  scanning.catch(() => {});
  try {
    const report = await headerReport(options);
    const header = readReport(report);
    const end = await containerEnd(descriptor, header.container);
    if (end.joinedAt !== undefined) throw joined(end.joinedAt);
    if (end.isWhole === false && header.container.startsWith('wav')) throw cutSamples();
    const scan = await scanning;
    const streams = scan.report(isBroadcast(header.container));
    if (!streams) throw jumpy();
    const info = readReport(report, new Map([...streams].map(([index, { packets }]) => [index, packets])));
    const video = info.video && (await withFirstFrame(options, info.video, streams));
    const measured = withContent({ ...info, video }, streams);
    return end.isWhole && isHint(info.container) ? withoutStatedLength(measured) : measured;
  } finally {
    giveUp.abort();
    await scanning.catch(() => {});
  }
}

/** Containers of broadcasting, in which a step of the clock means nothing; in others it is a pause. */
function isBroadcast(container: string): boolean {
  return /^(mpegts|mpeg|flv)/.test(container);
}

/** Containers whose header states a length that the file's own outline can prove wrong. */
function isHint(container: string): boolean {
  return /^(wav|avi|matroska|flv)/.test(container);
}

async function headerReport(options: ProbeOptions): Promise<string> {
  const what = 'its header';
  const { output, complaints, code } = await runProbe(options, ['-show_entries', REPORT_ENTRIES], TIMEOUT_MS, what);
  // FFmpeg leaves the size that it refuses out of its report.
  const refused = refusedSize(complaints);
  if (refused) throw oversized(refused, options.maxPixels);
  if (code !== 0) throw unreadable(complaints, await stillBrand(options.descriptor));
  return output;
}

/** The track as its first frame shows it; as its header has it, where not one can be decoded. */
async function withFirstFrame(
  options: ProbeOptions,
  video: VideoTrack,
  streams: ReadonlyMap<number, ScannedStream>,
): Promise<VideoTrack> {
  const first = await firstFrame(options, video.index, (streams.get(video.index)?.firstKey ?? 0) + 1);
  if (!first) return video;
  const { width, height } = first;
  // FFmpeg goes by the container's matrix where there is one, else by what comes with the frame.
  const rotationDegrees = video.rotationDegrees === 0 ? first.rotationDegrees : video.rotationDegrees;
  return { ...video, width, height, rotationDegrees, pixelAspect: first.pixelAspect ?? video.pixelAspect };
}

async function firstFrame(options: ProbeOptions, index: number, packets: number): Promise<FirstFrame | undefined> {
  const some = ['-select_streams', String(index), '-read_intervals', `%+#${Math.min(packets, MAX_FIRST_PACKETS)}`];
  const { output, complaints } = await runProbe(
    options,
    [...some, '-show_entries', FRAME_ENTRIES],
    TIMEOUT_MS,
    'its first frame',
  );
  const refused = refusedSize(complaints);
  if (refused) throw oversized(refused, options.maxPixels);
  try {
    return parseFirstFrame(JSON.parse(output));
  } catch {
    // Whether the picture can be decoded at all is seen when all of it is.
    return undefined;
  }
}

async function scanPackets(options: ProbeOptions): Promise<PacketScan> {
  const scan = new PacketScan();
  const args = ['-show_entries', PACKET_ENTRIES, '-of', 'csv=p=0'];
  await runProbe(options, args, SCAN_TIMEOUT_MS, 'its packets', async (stdout) => {
    for await (const line of createInterface({ input: stdout, crlfDelay: Number.POSITIVE_INFINITY })) scan.push(line);
    return '';
  });
  return scan;
}

interface ProbeOutput {
  readonly output: string;
  readonly complaints: string;
  readonly code: number | null;
}

async function runProbe(
  { descriptor, maxPixels, signal }: ProbeOptions,
  args: readonly string[],
  timeoutMs: number,
  what: string,
  reading: (stdout: Readable) => Promise<string> = (stdout) => textOf(stdout, REPORT_LIMIT_BYTES),
): Promise<ProbeOutput> {
  signal.throwIfAborted();
  const all = ['-hide_banner', '-v', 'error', '-of', 'json', ...args, ...inputOptions(maxPixels), '-i', inputUrl(0)];
  const tool = new ToolProcess('ffprobe', all, [descriptor]);
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const kill = () => tool.kill();
  limit.addEventListener('abort', kill, { once: true });
  try {
    const [output, complaints, exit] = await Promise.all([
      reading(tool.stdout),
      textOf(tool.stderr, STDERR_LIMIT_BYTES),
      tool.exited,
    ]);
    signal.throwIfAborted();
    if (limit.aborted)
      throw new HumancastError('media_unreadable', `${what} could not be read in ${timeoutMs / 1000} s`);
    if (exit.notInstalled) throw new HumancastError('encoder_failed', 'ffprobe is not installed');
    return { output, complaints, code: exit.code };
  } finally {
    limit.removeEventListener('abort', kill);
    tool.kill();
  }
}

function withContent(info: MediaInfo, streams: ReadonlyMap<number, ScannedStream>): MediaInfo {
  const { video, audio } = info;
  const ofVideo = video && streams.get(video.index);
  return {
    ...info,
    video: video && { ...onOneClock(video, ofVideo), frameTimes: ofVideo && frameTimesOf(ofVideo.times) },
    audio: audio && onOneClock(audio, streams.get(audio.index)),
  };
}

/** A header knows nothing of jumps; where there are some, the packets tell when a track starts. */
function onOneClock<T extends VideoTrack | AudioTrack>(track: T, stream: ScannedStream | undefined): T {
  if (!stream || stream.packets === 0) return track;
  const { packets, packetSeconds, endSeconds, shifts } = stream;
  const content = { packets, packetSeconds, endSeconds, shifts };
  if (shifts.every((shift) => shift === 0)) return { ...track, content };
  return { ...track, content, startSeconds: stream.startSeconds, endSeconds: undefined };
}

function withoutStatedLength(info: MediaInfo): MediaInfo {
  const { video, audio } = info;
  return {
    ...info,
    durationSeconds: undefined,
    video: video && { ...video, endSeconds: undefined },
    audio: audio && { ...audio, endSeconds: undefined },
  };
}

export function oversized({ width, height }: RefusedSize, maxPixels: number): HumancastError {
  return new HumancastError('media_too_large', {
    detail: `${width}×${height} is ${width * height} pixels; at most ${maxPixels} are allowed`,
    extra: { width, height, maxPixels },
  });
}

function joined(atBytes: number): HumancastError {
  return new HumancastError('media_joined', {
    detail: `a second file begins at byte ${atBytes}, which would be lost; send one file, or join them with an editor`,
    extra: { atBytes },
  });
}

/** FFmpeg takes the length of a WAV file from its size. */
function cutSamples(): HumancastError {
  return new HumancastError('media_truncated', 'it ends before the samples that its header states');
}

function jumpy(): HumancastError {
  return new HumancastError('media_timestamps', {
    detail: `the timestamps jump more than ${MAX_JUMPS} times; send a file whose clock runs on`,
    extra: { maxJumps: MAX_JUMPS },
  });
}

function unreadable(complaints: string, brand: string | undefined): HumancastError {
  if (brand !== undefined) {
    return new HumancastError('media_unreadable', `pictures of the kind ${brand} are not accepted; send JPEG or PNG`);
  }
  if (complaints.includes('moov atom not found')) {
    return new HumancastError(
      'media_truncated',
      'its index (moov) is missing: the file was cut short, or was still being written',
    );
  }
  if (complaints.includes('Format not on whitelist')) {
    return new HumancastError('media_unreadable', 'this kind of file is not accepted; send for example MP4 or WebM');
  }
  return new HumancastError('media_unreadable', 'no known media format was recognized in its content');
}

async function textOf(stream: NodeJS.ReadableStream, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Read on, so that the tool can end, but keep no more.
    if (bytes <= limitBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
