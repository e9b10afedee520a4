import { describe, expect, it } from 'vitest';
import { RtpClock, Unwrapper } from './rtp-clock.ts';

const SECOND = 2n ** 32n;

describe('RtpClock', () => {
  it('maps by the nearest report', () => {
    const clock = new RtpClock(90_000);
    clock.add(1000n * SECOND, 0);
    clock.add(1010n * SECOND + SECOND / 2n, 900_000); // The sender's clock was stepped by half a second.
    expect(clock.ntpMs(90_000, 1000n * SECOND)).toBe(1000);
    expect(clock.ntpMs(810_000, 1000n * SECOND)).toBe(9500);
    expect(clock.ntpMs(-45_000, 1000n * SECOND)).toBe(-500);
  });

  it('throws without a report', () => {
    expect(() => new RtpClock(48_000).ntpMs(0, 0n)).toThrow('sender report');
  });
});

describe('Unwrapper', () => {
  it('counts across the wrap, forwards and backwards', () => {
    const sequences = new Unwrapper(16);
    expect([65_534, 65_535, 0, 1, 65_535, 2].map((value) => sequences.unwrap(value))).toEqual([
      65_534, 65_535, 65_536, 65_537, 65_535, 65_538,
    ]);
  });
});
