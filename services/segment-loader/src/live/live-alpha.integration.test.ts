import { execFileSync } from 'node:child_process';
import { createLogger } from '@humancast/shared';
import { transparentFrame } from '@humancast/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { ivf } from '../../testing/decoded-segment.js';
import { ENCODER_SOURCES } from '../../testing/encoder-sources.js';
import { EncoderProcess } from './encoder-process.js';

const SIZE = { width: 160, height: 90 };
const CODED = { width: 160, height: 180 };
const RENDITION = { codec: 'vp8', alpha: 'stack', ...CODED, bitrateBps: 4_000_000 } as const;

const running: EncoderProcess[] = [];
afterEach(() => {
  for (const encoder of running.splice(0)) encoder.kill();
});

describe('a live push of a transparent avatar', () => {
  it('has the matte of RGBA frames, and their colors multiplied with it', async () => {
    const source = transparentFrame(SIZE);
    const frame = lumaOf((await encoded('rgba', (encoder) => encoder.encode(source, 3))).at(-1));
    const errors = Array.from({ length: SIZE.width * SIZE.height }, (_, i) => {
      const [red = 0, green = 0, blue = 0, alpha = 0] = source.subarray(4 * i, 4 * i + 4);
      const luma = 16 + (((0.299 * red + 0.587 * green + 0.114 * blue) * 219) / 255) * (alpha / 255);
      const matte = 16 + (219 * alpha) / 255;
      const half = SIZE.width * SIZE.height;
      return Math.max(Math.abs((frame[i] ?? 0) - luma), Math.abs((frame[half + i] ?? 0) - matte));
    });
    expect(Math.max(...errors)).toBeLessThan(30);
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(2);
  });

  it('is opaque if its frames have no alpha, and shows nothing before the first one', async () => {
    const frames = await encoded('bgr24', (encoder) => {
      encoder.repeat(1);
      encoder.encode(Buffer.alloc(SIZE.width * SIZE.height * 3, 180), 3);
    });
    const half = SIZE.width * SIZE.height;
    expect(Math.max(...lumaOf(frames[0]))).toBeLessThan(20);
    expect(Math.min(...lumaOf(frames.at(-1)).subarray(half))).toBeGreaterThan(230);
  });

  it('goes on from an idle frame, whose color is above its matte already', async () => {
    const [still] = await encoded('rgba', (encoder) => encoder.encode(transparentFrame(SIZE), 1));
    const frames = await encoded('bgr24', (encoder) => {
      encoder.still({ codec: 'vp8', alpha: 'stack' }, still as Buffer);
      encoder.repeat(2);
    });
    const [right, shown] = [lumaOf(still), lumaOf(frames.at(-1))];
    const errors = [...right].map((luma, i) => Math.abs(luma - (shown[i] ?? 0)));
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(2);
  });
});

/** @returns The encoded frames, all of them keyframes. */
async function encoded(
  pixelFormat: 'rgba' | 'bgr24',
  push: (encoder: EncoderProcess) => void,
): Promise<readonly Buffer[]> {
  const encoder = new EncoderProcess(createLogger('test', 'fatal'), ENCODER_SOURCES);
  running.push(encoder);
  const frames: Buffer[] = [];
  await encoder.begin(
    { ...SIZE, pixelFormat, fps: { num: 25, den: 1 }, gopFrames: 1, renditions: [RENDITION] },
    {
      onFrame: (_rendition, _number, _keyframe, data) => void frames.push(data),
      onRenditions: () => {},
      onTaken: () => {},
      onFailed: (error) => {
        throw error;
      },
    },
  );
  push(encoder);
  await encoder.end();
  return frames;
}

function lumaOf(keyframe: Buffer | undefined): Buffer {
  const input = ivf([keyframe ?? Buffer.alloc(0)], CODED.width, CODED.height);
  const raw = execFileSync('ffmpeg', ['-v', 'error', '-f', 'ivf', '-i', 'pipe:0', '-f', 'rawvideo', 'pipe:1'], {
    input,
  });
  return raw.subarray(0, CODED.width * CODED.height);
}
