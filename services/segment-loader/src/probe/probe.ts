import type { Readable } from 'node:stream';
import { HumancastError } from '@humancast/shared';
import { inputOptions } from '../ffmpeg/input-options.js';
import { type RejectedSize, rejectedSize } from '../ffmpeg/rejected-size.js';
import { inputUrl, ToolProcess } from '../ffmpeg/tool-process.js';
import { containerEnd, isAnimatedWebp, isCutMovie, unsupportedStill } from './container-end.js';
import { REPORT_ENTRIES, readReport } from './ffprobe-report.js';
import { FileBytes } from './file-bytes.js';
import { type FirstFrame, FRAME_ENTRIES, parseFirstFrame } from './first-frame.js';
import { frameTimesOf } from './frame-times.js';
import { matroskaOrientation } from './matroska-orientation.js';
import type { AudioTrack, MediaInfo, VideoTrack } from './media-info.js';
import type { Orientation } from './orientation.js';
import { MAX_JUMPS, PACKET_ENTRIES, PacketScan, type ScannedStream } from './packet-scan.js';
import { stillOrientation } from './still-orientation.js';

const TIMEOUT_MS = 30_000;
/** Time limit of reading all packets without decoding, which runs at the speed of the disk. */
const SCAN_TIMEOUT_MS = 120_000;
const REPORT_LIMIT_BYTES = 1024 * 1024;
/** The line that ends the list of packets in ffprobe's compact JSON. */
const END_OF_PACKETS = '    ],';
const STDERR_LIMIT_BYTES = 64 * 1024;
/** A stream that starts mid-GOP has a keyframe within some seconds. */
const MAX_FIRST_PACKETS = 600;

interface ProbeOptions {
  readonly descriptor: number;
  readonly maxPixels: number;
  readonly signal: AbortSignal;
}

/**
 * Reads a file's headers, the timestamps of all its packets, and the display properties of its first frame.
 * @param descriptor Descriptor of the open file; its position is neither used nor moved.
 * @throws HumancastError `media_unreadable`, `media_truncated` (its index is missing), `media_joined`, `media_timestamps`,
 * `media_too_large`, `encoder_failed`; the signal's reason.
 */
export async function probe(descriptor: number, maxPixels: number, signal: AbortSignal): Promise<MediaInfo> {
  const options = { descriptor, maxPixels, signal };
  const file = await FileBytes.open(descriptor);
  const { report, scan } = await readPackets(options, file);
  const { container } = readReport(report);
  if (container === 'webp_pipe' && (await isAnimatedWebp(file))) throw animatedWebp();
  const end = await containerEnd(file, container);
  if (end.joinedAt !== undefined) throw joined(end.joinedAt);
  if (end.isWhole === false && container.startsWith('wav')) throw cutSamples();
  const streams = scan.report(isBroadcast(container));
  if (!streams) throw jumpy();
  const info = readReport(report, new Map([...streams].map(([index, { packets }]) => [index, packets])));
  rejectSuccessors(info, streams, isBroadcast(container));
  const stated = info.video && (await statedOrientation(file, container, info.video.index));
  const video = info.video && (await withFirstFrame(options, info.video, streams, stated ?? 1));
  const measured = withContent({ ...info, video }, streams);
  return end.isWhole && isHint(container) ? withoutStatedLength(measured) : measured;
}

/** Broadcast containers, in which a step of the clock means nothing; in others it is a pause. */
function isBroadcast(container: string): boolean {
  return /^(mpegts|mpeg|flv)/.test(container);
}

/** Containers whose header states a length that the file's structure can disprove. */
function isHint(container: string): boolean {
  return /^(wav|avi|matroska|flv)/.test(container);
}

/** @returns What only this service reads of a file's orientation; 1 if that is none. */
function statedOrientation(file: FileBytes, container: string, index: number): Promise<Orientation> {
  return container.startsWith('matroska') ? matroskaOrientation(file, index) : stillOrientation(file, container);
}

/**
 * Rejects a file in which another track of the same kind goes on where the used one ends, as at a change of programs.
 * @param byPosition Whether the positions in the file decide that, because clocks restart; otherwise the times do.
 * @throws HumancastError `media_joined`.
 */
function rejectSuccessors(
  { video, audio }: MediaInfo,
  streams: ReadonlyMap<number, ScannedStream>,
  byPosition: boolean,
): void {
  for (const index of [video?.index, audio?.index]) {
    const used = index === undefined ? undefined : streams.get(index);
    if (!used || used.packets < 2) continue;
    const isNext = (other: ScannedStream) =>
      byPosition ? other.firstPosition > used.lastPosition : other.startSeconds >= used.endSeconds;
    const next = [...streams].find(([, other]) => other.kind === used.kind && other.packets > 1 && isNext(other));
    if (next) throw succeeded(used.kind, index ?? 0, next[0]);
  }
}

/** @returns The track with the properties of its first frame, or those of its header if no frame can be decoded. */
async function withFirstFrame(
  options: ProbeOptions,
  video: VideoTrack,
  streams: ReadonlyMap<number, ScannedStream>,
  stated: Orientation,
): Promise<VideoTrack> {
  const first = await firstFrame(options, video.index, (streams.get(video.index)?.firstShown ?? 0) + 1);
  if (!first) return { ...video, orientation: video.orientation === 1 ? stated : video.orientation };
  const { width, height } = first;
  const orientation = video.orientation === 1 ? (first.orientation ?? stated) : video.orientation;
  const hasOrientationSei = video.codec === 'h264' && first.orientation !== undefined;
  const pixelAspect = first.pixelAspect ?? video.pixelAspect;
  return { ...video, width, height, orientation, hasOrientationSei, pixelAspect };
}

async function firstFrame(options: ProbeOptions, index: number, packets: number): Promise<FirstFrame | undefined> {
  const some = ['-select_streams', String(index), '-read_intervals', `%+#${Math.min(packets, MAX_FIRST_PACKETS)}`];
  const { output, complaints } = await runProbe(
    options,
    [...some, '-show_entries', FRAME_ENTRIES],
    TIMEOUT_MS,
    'its first frame',
  );
  const rejected = rejectedSize(complaints);
  if (rejected) throw oversized(rejected, options.maxPixels);
  try {
    return parseFirstFrame(JSON.parse(output));
  } catch {
    // Decoding the whole file later shows whether the video can be decoded at all.
    return undefined;
  }
}

/** Runs ffprobe once for the header and all packets, without decoding. It prints the packets first. */
async function readPackets(options: ProbeOptions, file: FileBytes): Promise<{ report: string; scan: PacketScan }> {
  const scan = new PacketScan();
  // This prints each packet on its own line.
  const args = ['-show_entries', `${PACKET_ENTRIES}:${REPORT_ENTRIES}`, '-of', 'json=compact=1'];
  const reading = (stdout: Readable) => reportAfterPackets(linesOf(stdout, REPORT_LIMIT_BYTES), scan);
  const { output, complaints, code } = await runProbe(options, args, SCAN_TIMEOUT_MS, 'its packets', reading);
  // FFmpeg's report omits a size that it rejects.
  const rejected = rejectedSize(complaints);
  if (rejected) throw oversized(rejected, options.maxPixels);
  if (code !== 0) throw unreadable(complaints, await unsupportedStill(file), await isCutMovie(file));
  return { report: output, scan };
}

/** @returns The JSON text without the packets. */
async function reportAfterPackets(lines: AsyncIterable<string>, scan: PacketScan): Promise<string> {
  let report = '{';
  let isAfter = false;
  for await (const line of lines) {
    if (!isAfter) scan.push(line);
    else if (report.length < REPORT_LIMIT_BYTES) report += line;
    isAfter ||= line === END_OF_PACKETS;
  }
  return report;
}

/** @param maxLength Maximum length of a line; the rest of a longer one is dropped. */
async function* linesOf(stream: Readable, maxLength: number): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream.setEncoding('utf8') as AsyncIterable<string>) {
    const lines = (rest + chunk).split('\n');
    rest = (lines.pop() ?? '').slice(0, maxLength);
    yield* lines;
  }
  yield rest;
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

/** Headers don't reflect clock jumps; if there are any, the packets give the start of a track. */
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

export function oversized({ width, height }: RejectedSize, maxPixels: number): HumancastError {
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

function succeeded(kind: string, used: number, next: number): HumancastError {
  return new HumancastError('media_joined', {
    detail: `where the ${kind} of stream ${used} ends, that of stream ${next} begins, which would be lost; send one file each`,
    extra: { stream: next },
  });
}

function animatedWebp(): HumancastError {
  return new HumancastError('media_unreadable', {
    detail: 'animated WebP is not accepted; send a GIF, an APNG or a video',
    extra: { kind: 'animated WebP' },
  });
}

/** FFmpeg derives the length of a WAV file from its size. */
function cutSamples(): HumancastError {
  return new HumancastError('media_truncated', 'the file ends before the samples that its header states');
}

function jumpy(): HumancastError {
  return new HumancastError('media_timestamps', {
    detail: `the timestamps jump more than ${MAX_JUMPS} times; send a file with continuous timestamps`,
    extra: { maxJumps: MAX_JUMPS },
  });
}

function unreadable(complaints: string, still: string | undefined, isCut: boolean): HumancastError {
  if (still !== undefined) {
    return new HumancastError('media_unreadable', {
      detail: `${still} images are not accepted; send JPEG, PNG or WebP`,
      extra: { kind: still },
    });
  }
  if (isCut || complaints.includes('moov atom not found')) {
    return new HumancastError(
      'media_truncated',
      'the index (moov) is missing or incomplete: the file was truncated, or was still being written',
    );
  }
  if (complaints.includes('Format not on whitelist')) {
    return new HumancastError(
      'media_unreadable',
      'this container format is not accepted; send for example MP4 or WebM',
    );
  }
  return new HumancastError(
    'media_unreadable',
    'the content is of no known media format; send for example MP4 or WebM',
  );
}

async function textOf(stream: NodeJS.ReadableStream, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // Read on without storing, so that the tool can end.
    if (bytes <= limitBytes) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
