import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { ivf } from '../../testing/decoded-segment.js';
import { LiveEncoder, type LiveFrame } from '../live/encoder/live-encoder.js';
import { temporalLayers } from './temporal-layers.js';

const [WIDTH, HEIGHT] = [320, 180];
const LARGE = { codec: 'vp8', bitrateBps: 500_000 } as const;
const SMALL = { codec: 'vp8', bitrateBps: 150_000 } as const;
const H264 = { codec: 'h264', bitrateBps: 100_000 } as const;

/** @returns A hash of each decoded frame. */
function decode(frames: readonly LiveFrame[]): string[] {
  const input = ivf(
    frames.map(({ data }) => data),
    WIDTH,
    HEIGHT,
  );
  const options = ['-v', 'error', '-f', 'ivf', '-i', 'pipe:0', '-fps_mode', 'passthrough', '-f', 'framemd5', 'pipe:1'];
  const lines = execFileSync('ffmpeg', options, { input, encoding: 'utf8' }).split('\n');
  return lines.flatMap((line) => (line && !line.startsWith('#') ? [line.split(',').at(-1) ?? ''] : []));
}

describe('temporal layers', () => {
  it('are used only for the smallest VP8 rendition of a ladder', () => {
    const ladder = [LARGE, H264, SMALL];
    expect(temporalLayers(SMALL, ladder)).toEqual({
      'ts-parameters': 'ts_target_bitrate=100,150:ts_layering_mode=2',
      'error-resilient': 'default',
    });
    expect(temporalLayers(LARGE, ladder)).toEqual({});
    expect(temporalLayers(H264, ladder)).toEqual({});
    expect(temporalLayers(SMALL, [SMALL, H264])).toEqual({});
  });

  it.each([30, 25])('make every second frame of a live push discardable, in GOPs of %d frames', (gopFrames) => {
    const sent: LiveFrame[] = [];
    const size = { width: WIDTH, height: HEIGHT };
    const renditions = [LARGE, SMALL].map((rendition) => ({ ...rendition, ...size }));
    const fps = { num: gopFrames, den: 1 };
    const encoder = new LiveEncoder(
      { ...size, pixelFormat: 'bgr24', fps, gopFrames, renditions },
      {
        onFrame: (frame) => {
          if (frame.rendition === 1) sent.push(frame);
        },
        nowMs: () => 0,
      },
    );
    const frame = Buffer.alloc(WIDTH * HEIGHT * 3);
    for (let i = 0; i < 2 * gopFrames; i++) {
      for (let at = 0; at < frame.length; at++) frame[at] = (at + i * 5 * (1 + ((at >> 8) % 3))) & 0xff;
      encoder.encode(frame);
    }
    expect(sent.flatMap(({ keyframe, number }) => (keyframe ? [number] : []))).toEqual([0, gopFrames]);
    const isKept = ({ number }: LiveFrame) => (number % gopFrames) % 2 === 0;
    const whole = decode(sent);
    expect(decode(sent.filter(isKept))).toEqual(whole.filter((_, i) => isKept(sent[i] as LiveFrame)));
  });
});
