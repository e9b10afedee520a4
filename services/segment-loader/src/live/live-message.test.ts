import type { LiveStart } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { checkFrameSize, frameBytes, frameRateOf, parseBinary, parseText } from './live-message.js';

const header = {
  type: 'start',
  fps: 25,
  width: 64,
  height: 48,
  pixelFormat: 'bgr24',
  sampleRate: 24_000,
  sampleFormat: 's16',
};
const withCode = (code: string) => expect.objectContaining({ code });

describe('parseText()', () => {
  it('reads a header and applies the defaults', () => {
    expect(parseText(JSON.stringify(header))).toEqual({ ...header, interrupt: false });
  });

  it.each([
    ['no JSON', '{'],
    ['another type', '{"type":"begin"}'],
    ['an unknown pixel format', JSON.stringify({ ...header, pixelFormat: 'yuyv' })],
    ['an unknown sample format', JSON.stringify({ ...header, sampleFormat: 's24' })],
    ['a size of 0', JSON.stringify({ ...header, width: 0 })],
    ['240 frames a second', JSON.stringify({ ...header, fps: 240 })],
    ['a field nobody knows', JSON.stringify({ ...header, colour: 'red' })],
  ])('rejects %s', (_, text) => {
    expect(() => parseText(text)).toThrow(withCode('bad_message'));
  });
});

describe('parseBinary()', () => {
  it('distinguishes video from audio', () => {
    expect(parseBinary(Buffer.from([1, 0, 0, 0, 9]))).toEqual({ kind: 'video', body: Buffer.from([9]) });
    expect(parseBinary(Buffer.from([2, 0, 0, 0]))).toEqual({ kind: 'audio', body: Buffer.alloc(0) });
  });

  it.each([[[]], [[1]], [[1, 0, 0]], [[3, 0, 0, 0, 1]]])('rejects %j', (bytes) => {
    expect(() => parseBinary(Buffer.from(bytes))).toThrow(withCode('bad_message'));
  });
});

describe('checkFrameSize()', () => {
  it('states the size of each format', () => {
    expect(frameBytes('bgr24', 5, 3)).toBe(45);
    expect(frameBytes('rgba', 5, 3)).toBe(60);
    expect(frameBytes('i420', 5, 3)).toBe(15 + 2 * 3 * 2);
  });

  it.each(['bgr24', 'rgb24', 'rgba', 'i420'] as const)('accepts a %s frame of exactly its size', (pixelFormat) => {
    const start = { ...header, pixelFormat, interrupt: false } as LiveStart;
    const bytes = frameBytes(pixelFormat, 64, 48);
    expect(() => checkFrameSize(start, bytes)).not.toThrow();
    for (const wrong of [0, bytes - 1, bytes + 1]) {
      expect(() => checkFrameSize(start, wrong)).toThrow(withCode('live_frame_size'));
    }
  });

  it('limits the size of a JPEG', () => {
    const start = { ...header, pixelFormat: 'jpeg', interrupt: false } as LiveStart;
    expect(() => checkFrameSize(start, 5000)).not.toThrow();
    expect(() => checkFrameSize(start, 0)).toThrow(withCode('live_frame_size'));
    expect(() => checkFrameSize(start, 10_000_000)).toThrow(withCode('live_frame_size'));
  });
});

describe('frameRateOf()', () => {
  it.each([
    [25, { num: 25, den: 1 }],
    [29.97, { num: 30_000, den: 1001 }],
    [23.976, { num: 24_000, den: 1001 }],
    [12.5, { num: 12_500, den: 1000 }],
    [
      { num: 60_000, den: 1001 },
      { num: 60_000, den: 1001 },
    ],
  ])('returns an exact rate for %j', (fps, rational) => {
    expect(frameRateOf(fps)).toEqual(rational);
  });
});
