import { execFileSync } from 'node:child_process';
import type { PixelFormat } from '@humancast/protocol';
import { createLogger } from '@humancast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { BT601, BT709, type Coding, coded, quarters, type Rgb } from '../../testing/colors.js';
import type { Pixel } from '../../testing/decoded-segment.js';
import { ENCODER_SOURCES } from '../../testing/encoder-sources.js';
import { EncoderProcess } from './encoder-process.js';

/** Skin, red, green and blue, none at the edge of the gamut. */
const COLORS: readonly Rgb[] = [
  [0.85, 0.65, 0.55],
  [0.75, 0.2, 0.2],
  [0.2, 0.65, 0.3],
  [0.25, 0.3, 0.8],
];
/** Color matrix that a viewer's decoder assumes for each codec (see `VIEWER_MATRIX`). */
const SHOWN = {
  vp8: { ...BT601, isFull: false, bits: 8 },
  h264: { ...BT709, isFull: false, bits: 8 },
} as const;
/** Tolerance of a decoded value in 8-bit steps: rounding of two conversions, and the encoder. */
const RAW_LIMIT = 3;
/** Additional tolerance for the rounding of JPEG coefficients. */
const JPEG_LIMIT = 5;

type Case = readonly [name: string, format: PixelFormat, bytes: (side: number) => Buffer, limit: number];

const running: EncoderProcess[] = [];
afterEach(() => {
  for (const encoder of running.splice(0)) encoder.kill();
});

/** Compares the colors of pushed frames with numbers computed from ITU recommendations, without FFmpeg. */
describe('colors of a live push', () => {
  const cases: readonly Case[] = [
    ['BGR', 'bgr24', (side) => packed(side, ([r, g, b]) => [b, g, r]), RAW_LIMIT],
    ['RGB', 'rgb24', (side) => packed(side, ([r, g, b]) => [r, g, b]), RAW_LIMIT],
    ['RGBA', 'rgba', (side) => packed(side, ([r, g, b]) => [r, g, b, 255]), RAW_LIMIT],
    ['I420 (BT.601, limited range)', 'i420', (side) => planar(side, { ...BT601, isFull: false, bits: 8 }), RAW_LIMIT],
    ['JPEG (BT.601, full range) of 4:2:0', 'jpeg', (side) => jpeg(side, [2, 2], 'yuvj420p'), JPEG_LIMIT],
    ['JPEG (BT.601, full range) of 4:4:4', 'jpeg', (side) => jpeg(side, [1, 1], 'yuvj444p'), JPEG_LIMIT],
  ];
  // In a file, no stated matrix would mean BT.709 from 720 lines on; a push always has its format's matrix.
  const sizes = [64, 720];
  it.each(
    cases.flatMap(([name, ...each]) => sizes.map((side) => [`${name}, ${side}×${side}`, ...each, side] as const)),
  )('of %s are right in VP8 and H.264', async (_, pixelFormat, bytes, limit, side) => {
    const keyframes = await encode(pixelFormat, bytes(side), side, side);
    for (const codec of ['vp8', 'h264'] as const) expectColors(keyframes[codec], codec, side, limit);
  });

  it('are right in a downscaled rendition', async () => {
    const keyframes = await encode(
      'rgb24',
      packed(256, ([r, g, b]) => [r, g, b]),
      256,
      64,
    );
    for (const codec of ['vp8', 'h264'] as const) expectColors(keyframes[codec], codec, 64, RAW_LIMIT);
  });

  it.each([
    ['black', 0, { y: 16, u: 128, v: 128 }],
    ['white', 255, { y: 235, u: 128, v: 128 }],
  ] as const)('map RGB %s to the edge of the limited range', async (_, value, right) => {
    const keyframes = await encode('rgb24', Buffer.alloc(64 * 64 * 3, value), 64, 64);
    for (const codec of ['vp8', 'h264'] as const) {
      for (const seen of pixelsOf(keyframes[codec], codec, 64)) expect(distance(seen, right)).toBeLessThanOrEqual(1);
    }
  });
});

/** @returns The first keyframe of each codec. */
async function encode(pixelFormat: PixelFormat, frame: Buffer, from: number, to: number) {
  const encoder = new EncoderProcess(createLogger('test', 'fatal'), ENCODER_SOURCES);
  running.push(encoder);
  const made = new Map<number, Buffer>();
  const renditions = (['vp8', 'h264'] as const).map((codec) => ({
    codec,
    width: to,
    height: to,
    bitrateBps: 4_000_000,
  }));
  await encoder.begin(
    { width: from, height: from, pixelFormat, fps: { num: 25, den: 1 }, gopFrames: 25, renditions },
    {
      onFrame: (rendition, number, _keyframe, data) => void (number === 0 && made.set(rendition, data)),
      onRenditions: () => {},
      onTaken: () => {},
      onFailed: (error) => {
        throw error;
      },
    },
  );
  encoder.encode(frame, 1);
  await encoder.end();
  return { vp8: made.get(0) ?? Buffer.alloc(0), h264: made.get(1) ?? Buffer.alloc(0) };
}

function expectColors(keyframe: Buffer, codec: keyof typeof SHOWN, side: number, limit: number): void {
  const seen = pixelsOf(keyframe, codec, side);
  for (const [i, color] of COLORS.entries()) {
    const right = coded(color, SHOWN[codec]);
    const what = `${codec} ${i}: ${JSON.stringify(seen[i])} for ${JSON.stringify(right)}`;
    expect(distance(seen[i], right), what).toBeLessThanOrEqual(limit);
  }
}

function distance(seen: Pixel | undefined, right: Pixel): number {
  return Math.max(...(['y', 'u', 'v'] as const).map((of) => Math.abs((seen?.[of] ?? 0) - right[of])));
}

/** @returns The center of each quarter as decoded, without any conversion. */
function pixelsOf(keyframe: Buffer, codec: keyof typeof SHOWN, side: number): Pixel[] {
  const input = codec === 'h264' ? keyframe : ivf(keyframe, side);
  const args = ['-v', 'error', '-f', codec === 'h264' ? 'h264' : 'ivf', '-i', 'pipe:0', '-frames:v', '1'];
  const raw = execFileSync('ffmpeg', [...args, '-f', 'rawvideo', 'pipe:1'], { input });
  expect(raw.length).toBe((side * side * 3) / 2);
  const at = (x: number, y: number): Pixel => {
    const chroma = side * side + Math.floor((side / 2) * y) * (side / 2) + Math.floor((side / 2) * x);
    return {
      y: raw.readUInt8(Math.floor(side * y) * side + Math.floor(side * x)),
      u: raw.readUInt8(chroma),
      v: raw.readUInt8(chroma + (side * side) / 4),
    };
  };
  return [at(0.25, 0.25), at(0.75, 0.25), at(0.25, 0.75), at(0.75, 0.75)];
}

/** @returns An RGB frame of four quarters, 8 bits per component. */
function packed(side: number, order: (rgb: Rgb) => readonly number[]): Buffer {
  const inks = COLORS.map((color) => order(color.map((value) => Math.round(255 * value)) as unknown as Rgb));
  return Buffer.from(
    Array.from({ length: side * side }, (_, i) => {
      const quarter = (i % side >= side / 2 ? 1 : 0) + (Math.floor(i / side) >= side / 2 ? 2 : 0);
      return inks[quarter] ?? [];
    }).flat(),
  );
}

function planar(side: number, coding: Coding, chroma: readonly [number, number] = [2, 2]): Buffer {
  const pixels = COLORS.map((color) => coded(color, coding));
  return quarters(pixels, side, chroma, coding.bits);
}

function jpeg(side: number, chroma: readonly [number, number], format: string): Buffer {
  const input = planar(side, { ...BT601, isFull: true, bits: 8 }, chroma);
  const raw = ['-f', 'rawvideo', '-pix_fmt', format, '-s', `${side}x${side}`, '-i', 'pipe:0'];
  return execFileSync('ffmpeg', ['-v', 'error', ...raw, '-f', 'mjpeg', '-q:v', '1', 'pipe:1'], { input });
}

function ivf(frame: Buffer, side: number): Buffer {
  const file = Buffer.alloc(44);
  file.write('DKIF\0\0\x20\0VP80', 0, 'latin1');
  file.writeUInt16LE(side, 12);
  file.writeUInt16LE(side, 14);
  file.writeUInt32LE(25, 16);
  file.writeUInt32LE(1, 20);
  file.writeUInt32LE(1, 24);
  file.writeUInt32LE(frame.length, 32);
  return Buffer.concat([file, frame]);
}
