import { describe, expect, it } from 'vitest';
import { i420Of } from './i420.js';

/** @returns Y, U and V of an image of one color. */
function yuvOf(red: number, green: number, blue: number): number[] {
  const planes = i420Of(Uint8Array.from(Array(8).fill([red, green, blue, 255]).flat()), 4, 2);
  expect(planes).toHaveLength(12);
  return [planes[0], planes[8], planes[10]] as number[];
}

describe('i420Of()', () => {
  // ITU-R BT.601-7, table 3; ±1 for eight bits.
  it.each([
    ['black', [0, 0, 0], [16, 128, 128]],
    ['white', [255, 255, 255], [235, 128, 128]],
    ['red', [255, 0, 0], [81, 90, 240]],
    ['green', [0, 255, 0], [145, 54, 34]],
    ['blue', [0, 0, 255], [41, 240, 110]],
  ])('converts %s as BT.601 defines', (_name, [r = 0, g = 0, b = 0], expected) => {
    for (const [i, value] of yuvOf(r, g, b).entries())
      expect(Math.abs(value - (expected[i] ?? 0))).toBeLessThanOrEqual(1);
  });

  it('keeps rows and columns apart', () => {
    const rgba = new Uint8Array(4 * 4 * 4).fill(255);
    rgba.set([0, 0, 0], 4 * (4 * 2 + 3));
    const planes = i420Of(rgba, 4, 4);
    expect([...planes.subarray(0, 16)].map((y) => y === 16)).toEqual(Array.from({ length: 16 }, (_, i) => i === 11));
  });
});
