import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

export interface EncodedClipFrame {
  readonly data: Buffer;
  readonly keyframe: boolean;
}

export interface EncodedClipOptions {
  readonly codec: 'vp8' | 'h264';
  readonly seconds?: number;
  readonly fps?: number;
  /** Frames between keyframes; default: one second. */
  readonly gopFrames?: number;
  readonly size?: `${number}x${number}`;
  readonly bitrateKbps?: number;
}

const run = promisify(execFile);

/** Encodes a moving test pattern with ffmpeg: VP8 frames, or H.264 access units in Annex B format. */
export async function encodeClip(options: EncodedClipOptions): Promise<EncodedClipFrame[]> {
  const { codec, seconds = 2, fps = 30, gopFrames = fps, size = '640x360', bitrateKbps = 1000 } = options;
  const encoder =
    codec === 'vp8'
      ? ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '8', '-auto-alt-ref', '0', '-f', 'ivf']
      : ['-c:v', 'libx264', '-preset', 'ultrafast', '-profile:v', 'baseline', '-x264-params', 'aud=1', '-f', 'h264'];
  const args = [
    '-v',
    'error',
    '-f',
    'lavfi',
    '-i',
    `testsrc=size=${size}:rate=${fps}:duration=${seconds}`,
    '-pix_fmt',
    'yuv420p',
    '-threads',
    '1',
    '-b:v',
    `${bitrateKbps}k`,
    '-g',
    `${gopFrames}`,
    '-keyint_min',
    `${gopFrames}`,
    '-sc_threshold',
    '0',
    ...encoder,
    'pipe:1',
  ];
  const { stdout } = await run('ffmpeg', args, { encoding: 'buffer', maxBuffer: 256 * 2 ** 20 });
  return codec === 'vp8' ? ivfFrames(stdout) : accessUnits(stdout);
}

const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;

function ivfFrames(file: Buffer): EncodedClipFrame[] {
  const frames: EncodedClipFrame[] = [];
  for (let at = IVF_HEADER_BYTES; at < file.length; ) {
    const from = at + IVF_FRAME_HEADER_BYTES;
    at = from + file.readUInt32LE(at);
    const data = file.subarray(from, at);
    // RFC 6386 §9.1: the lowest bit of the frame tag is 0 in keyframes.
    frames.push({ data, keyframe: (data.readUInt8(0) & 1) === 0 });
  }
  return frames;
}

const DELIMITER = Buffer.from([0, 0, 0, 1, 9]);
const IDR_SLICE = 5;

function accessUnits(stream: Buffer): EncodedClipFrame[] {
  const frames: EncodedClipFrame[] = [];
  for (let at = stream.indexOf(DELIMITER); at >= 0; ) {
    const next = stream.indexOf(DELIMITER, at + DELIMITER.length);
    const data = stream.subarray(at, next < 0 ? stream.length : next);
    frames.push({ data, keyframe: hasNal(data, IDR_SLICE) });
    at = next;
  }
  return frames;
}

function hasNal(data: Buffer, type: number): boolean {
  for (let at = data.indexOf('000001', 0, 'hex'); at >= 0; at = data.indexOf('000001', at + 3, 'hex')) {
    if (((data[at + 3] ?? 0) & 0x1f) === type) return true;
  }
  return false;
}
