import { execFileSync } from 'node:child_process';
import { type PixelFormat } from '@humancast/protocol';
import { createLogger, type HumancastError } from '@humancast/shared';
import { afterEach, describe, expect, it } from 'vitest';
import { ENCODER_SOURCES } from '../../testing/encoder-sources.js';
import { withOrientation } from '../../testing/orientation.js';
import type { EncoderSetup } from './encoder/wire.js';
import { EncoderProcess } from './encoder-process.js';

const logger = createLogger('test', 'fatal');
const SIZE = { width: 66, height: 50 };
const running: EncoderProcess[] = [];

afterEach(() => {
  for (const encoder of running.splice(0)) encoder.kill();
});

interface Frame {
  rendition: number;
  number: number;
  keyframe: boolean;
  data: Buffer;
}

async function begin(setup: Partial<EncoderSetup> = {}) {
  const encoder = new EncoderProcess(logger, ENCODER_SOURCES);
  running.push(encoder);
  const frames: Frame[] = [];
  const errors: HumancastError[] = [];
  await encoder.begin(
    {
      ...SIZE,
      pixelFormat: 'bgr24',
      fps: { num: 25, den: 1 },
      gopFrames: 10,
      renditions: [{ codec: 'vp8', ...SIZE, bitrateBps: 500_000 }],
      ...setup,
    },
    {
      onFrame: (rendition, number, keyframe, data) => frames.push({ rendition, number, keyframe, data }),
      onRenditions: () => {},
      onTaken: () => {},
      onFailed: (error) => errors.push(error),
    },
  );
  return { encoder, frames, errors };
}

/** @returns The mean red, green and blue of a keyframe, decoded by ffmpeg. */
function colorOf(data: Buffer, codec: 'vp8' | 'h264', { width, height } = SIZE): number[] {
  const input = codec === 'h264' ? data : ivf(data, width, height);
  const args = ['-v', 'error', '-f', codec === 'h264' ? 'h264' : 'ivf', '-i', 'pipe:0', '-frames:v', '1'];
  const matrix = codec === 'h264' ? 'bt709' : 'bt601';
  args.push('-vf', `scale=1:1:in_color_matrix=${matrix}:flags=area`, '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1');
  return [...execFileSync('ffmpeg', args, { input })];
}

function ivf(frame: Buffer, width: number, height: number): Buffer {
  const file = Buffer.alloc(44);
  file.write('DKIF\0\0\x20\0VP80', 0, 'latin1');
  file.writeUInt16LE(width, 12);
  file.writeUInt16LE(height, 14);
  file.writeUInt32LE(25, 16);
  file.writeUInt32LE(1, 20);
  file.writeUInt32LE(1, 24);
  file.writeUInt32LE(frame.length, 32);
  return Buffer.concat([file, frame]);
}

function frameOf(format: PixelFormat): Buffer {
  const [red, green, blue] = [200, 120, 40] as const;
  const pixels = SIZE.width * SIZE.height;
  switch (format) {
    case 'bgr24':
      return Buffer.alloc(pixels * 3, Buffer.from([blue, green, red]));
    case 'rgb24':
      return Buffer.alloc(pixels * 3, Buffer.from([red, green, blue]));
    case 'rgba':
      return Buffer.alloc(pixels * 4, Buffer.from([red, green, blue, 255]));
    default: {
      const output = format === 'i420' ? ['-f', 'rawvideo', '-pix_fmt', 'yuv420p'] : ['-f', 'mjpeg', '-q:v', '2'];
      const size = `${SIZE.width}x${SIZE.height}`;
      return execFileSync(
        'ffmpeg',
        ['-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', size, '-i', 'pipe:0', ...output, 'pipe:1'],
        { input: frameOf('rgb24') },
      );
    }
  }
}

/** @returns A JPEG of {@link SIZE} whose upper half is red once it is turned by its EXIF orientation (EXIF 2.3 §4.6.4). */
function storedRedAbove(orientation: number): Buffer {
  const { width, height } = SIZE;
  const isRed = (x: number, y: number) =>
    [
      y < height / 2,
      y < height / 2,
      y >= height / 2,
      y >= height / 2,
      x < width / 2,
      x < width / 2,
      x >= width / 2,
      x >= width / 2,
    ][orientation - 1];
  const pixels = Buffer.alloc(width * height * 3);
  for (let i = 0; i < width * height; i++) if (isRed(i % width, Math.floor(i / width))) pixels[3 * i] = 255;
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-i', 'pipe:0'];
  return execFileSync('ffmpeg', ['-v', 'error', ...raw, '-f', 'mjpeg', '-q:v', '2', 'pipe:1'], { input: pixels });
}

/** @returns The colors at the centers of the upper and lower halves of a VP8 keyframe. */
function rowsOf(data: Buffer, width: number, height: number): number[][] {
  const raw = ['-f', 'ivf', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'];
  const pixels = execFileSync('ffmpeg', ['-v', 'error', ...raw], { input: ivf(data, width, height) });
  return [height / 4, (3 * height) / 4].map((y) => {
    const at = 3 * (Math.floor(y) * width + width / 2);
    return [...pixels.subarray(at, at + 3)];
  });
}

describe('EncoderProcess', () => {
  it.each(['bgr24', 'rgb24', 'rgba', 'i420', 'jpeg'] as const)(
    'encodes %s with the right colors in both codecs',
    async (format) => {
      const renditions = (['vp8', 'h264'] as const).map((codec) => ({ codec, ...SIZE, bitrateBps: 500_000 }));
      const { encoder, frames } = await begin({ pixelFormat: format, renditions });
      encoder.encode(frameOf(format), 1);
      await encoder.end();
      expect(frames.map(({ rendition, number, keyframe }) => ({ rendition, number, keyframe }))).toEqual([
        { rendition: 0, number: 0, keyframe: true },
        { rendition: 1, number: 0, keyframe: true },
      ]);
      for (const [i, codec] of (['vp8', 'h264'] as const).entries()) {
        const color = colorOf(frames[i]?.data as Buffer, codec);
        [200, 120, 40].forEach((expected, channel) => {
          expect(Math.abs((color[channel] ?? 0) - expected)).toBeLessThan(8);
        });
      }
    },
  );

  it('makes one frame per input, and a keyframe exactly where each GOP begins', async () => {
    const renditions = (['vp8', 'h264'] as const).map((codec) => ({ codec, ...SIZE, bitrateBps: 500_000 }));
    const { encoder, frames } = await begin({ renditions });
    for (let i = 0; i < 24; i++) encoder.encode(Buffer.alloc(SIZE.width * SIZE.height * 3, 9 * i), 1);
    encoder.repeat(2);
    await encoder.end();
    for (const rendition of [0, 1]) {
      const own = frames.filter((frame) => frame.rendition === rendition);
      expect(own.map(({ number }) => number)).toEqual(Array.from({ length: 26 }, (_, i) => i));
      expect(own.filter(({ keyframe }) => keyframe).map(({ number }) => number)).toEqual([0, 10, 20]);
    }
  });

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('shows a JPEG of EXIF orientation %i upright', async (orientation) => {
    const turned = orientation > 4;
    const [width, height] = turned ? [SIZE.height, SIZE.width] : [SIZE.width, SIZE.height];
    const renditions = [{ codec: 'vp8' as const, width, height, bitrateBps: 500_000 }];
    const { encoder, frames } = await begin({ pixelFormat: 'jpeg', width, height, renditions });
    encoder.encode(withOrientation(storedRedAbove(orientation), orientation), 1);
    await encoder.end();
    const [above, below] = rowsOf(frames[0]?.data as Buffer, width, height);
    expect(above?.[0]).toBeGreaterThan(180);
    expect(below?.[0]).toBeLessThan(60);
  });

  it('rejects a turned JPEG if the header states the stored size, and names the right one', async () => {
    const { encoder, errors } = await begin({ pixelFormat: 'jpeg' });
    encoder.encode(withOrientation(frameOf('jpeg'), 6), 1);
    await expect(encoder.end()).rejects.toMatchObject({ code: 'live_frame_corrupt' });
    expect(errors[0]?.message).toContain(`${SIZE.height}×${SIZE.width} after its EXIF`);
  });

  it('scales to the rendition', async () => {
    const renditions = [{ codec: 'vp8' as const, width: 32, height: 24, bitrateBps: 200_000 }];
    const { encoder, frames } = await begin({ renditions });
    encoder.encode(frameOf('bgr24'), 1);
    await encoder.end();
    // RFC 6386 §9.1: the size follows the frame tag and the start code.
    expect(frames[0]?.data.readUInt16LE(6)).toBe(32);
    expect(frames[0]?.data.readUInt16LE(8)).toBe(24);
  });

  it('repeats a still until the first frame, or black without one', async () => {
    const first = await begin();
    first.encoder.encode(frameOf('bgr24'), 1);
    await first.encoder.end();
    const { encoder, frames } = await begin();
    encoder.still({ codec: 'vp8' }, first.frames[0]?.data as Buffer);
    encoder.repeat(1);
    await encoder.end();
    expect(colorOf(frames[0]?.data as Buffer, 'vp8')[0]).toBeGreaterThan(180);
    const black = await begin();
    black.encoder.repeat(1);
    await black.encoder.end();
    expect(Math.max(...colorOf(black.frames[0]?.data as Buffer, 'vp8'))).toBeLessThan(8);
  });

  it.each([
    ['no JPEG', Buffer.from('not an image')],
    ['a JPEG of another size', undefined],
  ])('fails on %s with the reason', async (_, bytes) => {
    const { encoder, errors } = await begin({ pixelFormat: 'jpeg', ...(bytes ? {} : { width: 64 }) });
    encoder.encode(bytes ?? frameOf('jpeg'), 1);
    await expect(encoder.end()).rejects.toMatchObject({ code: 'live_frame_corrupt' });
    expect(errors.map(({ code }) => code)).toEqual(['live_frame_corrupt']);
  });

  it('reports a crash exactly once', async () => {
    const { encoder, errors } = await begin();
    process.kill(encoder.pid as number, 'SIGSEGV');
    await expect(encoder.end()).rejects.toMatchObject({ code: 'encoder_failed' });
    expect(errors.map(({ code }) => code)).toEqual(['encoder_failed']);
    expect(encoder.isUsable).toBe(false);
  });
});
