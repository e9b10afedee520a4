import { spawn } from 'node:child_process';
import { type MediaStore, PCM_RATE, pcmChunkCount, type SegmentManifest, unpackGop } from '@humancast/shared';

/** One pixel of a frame. */
export interface Pixel {
  readonly y: number;
  readonly u: number;
  readonly v: number;
}

/** A segment read from the store and decoded. */
export interface DecodedSegment {
  readonly pixels: readonly Pixel[];
  readonly samples: Int16Array;
  /** Times at which the video turns white, by frame times of the manifest, s. */
  readonly flashes: readonly number[];
  /** Times at which a tone begins, s. */
  readonly beeps: readonly number[];
}

/** Position of the sampled pixel, as shares of width and height. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

const MIDDLE: Place = { x: 0.5, y: 0.5 };

/** @param frames I420, of that rendition. Default: decoded now. */
export async function decodeSegment(
  store: MediaStore,
  manifest: SegmentManifest,
  rendition = 0,
  at: Place = MIDDLE,
  frames: Promise<readonly Buffer[]> = decodeFrames(store, manifest, rendition),
): Promise<DecodedSegment> {
  const pixels = pixelsAt(at, await frames, manifest, rendition);
  const samples = await readAudio(store, manifest);
  return { pixels, samples, flashes: flashesIn(pixels, manifest), beeps: beepsIn(samples) };
}

/** @returns I420. */
export async function decodeFrames(store: MediaStore, manifest: SegmentManifest, index: number): Promise<Buffer[]> {
  const rendition = manifest.renditions[index];
  if (!rendition) throw new Error('no such rendition');
  const frames: Buffer[] = [];
  for (let i = 0; i * manifest.gopFrames < manifest.frames; i++) {
    const gop = await store.readGop(manifest.id, rendition.id, i);
    if (!gop) throw new Error(`GOP ${i} is missing`);
    const unpacked = unpackGop(gop);
    if (!unpacked[0]?.keyframe) throw new Error(`GOP ${i} does not start with a keyframe`);
    if (unpacked.slice(1).some((frame) => frame.keyframe)) throw new Error(`GOP ${i} has a keyframe inside`);
    frames.push(...unpacked.map((frame) => frame.data));
  }
  const { width, height, codec } = rendition;
  const stream = codec === 'vp8' ? ivf(frames, width, height) : Buffer.concat(frames);
  const raw = await ffmpeg(
    ['-f', codec === 'vp8' ? 'ivf' : 'h264', '-i', 'pipe:0', '-fps_mode', 'passthrough', '-f', 'rawvideo', 'pipe:1'],
    stream,
  );
  const frameBytes = (width * height * 3) / 2;
  return Array.from({ length: raw.length / frameBytes }, (_, i) => raw.subarray(i * frameBytes, (i + 1) * frameBytes));
}

function pixelsAt(at: Place, frames: readonly Buffer[], { renditions }: SegmentManifest, index: number): Pixel[] {
  const { width = 0, height = 0 } = renditions[index] ?? {};
  const luma = Math.floor(height * at.y) * width + Math.floor(width * at.x);
  const chroma = width * height + Math.floor((height / 2) * at.y) * (width / 2) + Math.floor((width / 2) * at.x);
  return frames.map((frame) => ({
    y: frame.readUInt8(luma),
    u: frame.readUInt8(chroma),
    v: frame.readUInt8(chroma + (width * height) / 4),
  }));
}

async function readAudio(store: MediaStore, manifest: SegmentManifest): Promise<Int16Array> {
  const chunks: Buffer[] = [];
  for (let i = 0; i < pcmChunkCount(manifest); i++) {
    const chunk = await store.readPcm(manifest.id, i);
    if (!chunk) throw new Error(`PCM chunk ${i} is missing`);
    chunks.push(chunk);
  }
  const bytes = Buffer.concat(chunks);
  return new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
}

function flashesIn(pixels: readonly Pixel[], { fps }: SegmentManifest): number[] {
  const isWhite = (i: number) => (pixels[i]?.y ?? 0) > 128;
  return pixels.flatMap((_, i) => (isWhite(i) && !isWhite(i - 1) ? [(i * fps.den) / fps.num] : []));
}

/** @returns The times at which the level first exceeds a quarter of full scale after 50 ms of quiet, s. */
function beepsIn(samples: Int16Array): number[] {
  const beeps: number[] = [];
  let loudAt = Number.NEGATIVE_INFINITY;
  samples.forEach((sample, i) => {
    if (Math.abs(sample) < 8192) return;
    if (i - loudAt > 0.05 * PCM_RATE) beeps.push(i / PCM_RATE);
    loudAt = i;
  });
  return beeps;
}

export function ivf(frames: readonly Buffer[], width: number, height: number): Buffer {
  const header = Buffer.alloc(32);
  header.write('DKIF', 0, 'latin1');
  header.writeUInt16LE(32, 6);
  header.write('VP80', 8, 'latin1');
  header.writeUInt16LE(width, 12);
  header.writeUInt16LE(height, 14);
  header.writeUInt32LE(30, 16);
  header.writeUInt32LE(1, 20);
  const parts = frames.flatMap((data, i) => {
    const frameHeader = Buffer.alloc(12);
    frameHeader.writeUInt32LE(data.length, 0);
    frameHeader.writeUInt32LE(i, 4);
    return [frameHeader, data];
  });
  return Buffer.concat([header, ...parts]);
}

/** Runs ffmpeg. @throws Error with any message that ffmpeg prints. */
function ffmpeg(args: readonly string[], input: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn('ffmpeg', ['-v', 'error', ...args]);
    const output: Buffer[] = [];
    const complaints: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => complaints.push(chunk));
    child.stdin.on('error', () => {});
    child.once('error', reject);
    child.once('close', () => {
      const complaint = Buffer.concat(complaints).toString();
      if (complaint === '') resolve(Buffer.concat(output));
      else reject(new Error(complaint));
    });
    child.stdin.end(input);
  });
}
