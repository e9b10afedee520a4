import { FRAME_RATES } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { frameAtOrAfter, frameOffsetSamples, frameTicks, Timeline } from './timeline.js';

/** A clock whose two readings are set by hand. */
function clockAt(nowMs: number, wallMs: number) {
  return { now: nowMs, wall: wallMs, nowMs: () => nowMs, wallMs: () => wallMs };
}

describe('Timeline', () => {
  it('pairs NTP and both RTP clocks exactly, at any instant', () => {
    const timeline = new Timeline(1000, 1_700_000_000_000);
    fc.assert(
      fc.property(fc.double({ min: 0, max: 7 * 86_400_000, noNaN: true }), (elapsedMs) => {
        const { ntp, videoTicks, audioTicks } = timeline.reportAt(1000 + elapsedMs);
        expect(Number.isInteger(videoTicks) && Number.isInteger(audioTicks)).toBe(true);
        expect(videoTicks * 8).toBe(audioTicks * 15);
        expect(ntp).toBe(timeline.ntpAt(audioTicks));
        // Never ahead of now, and at most a sixth of a millisecond behind.
        const behind = elapsedMs * 48 - audioTicks;
        expect(behind).toBeGreaterThanOrEqual(-1e-3);
        expect(behind).toBeLessThan(8.001);
      }),
    );
  });

  it('writes NTP time as seconds since 1900 and a binary fraction', () => {
    const timeline = new Timeline(0, 1_700_000_000_500);
    expect(timeline.ntpAt(0) >> 32n).toBe(1_700_000_000n + 2_208_988_800n);
    expect(timeline.ntpAt(0) & 0xffff_ffffn).toBe(0x8000_0000n);
    expect(timeline.ntpAt(12_000) & 0xffff_ffffn).toBe(0xc000_0000n);
  });

  it('is not moved by a step of the wall clock after the anchor', () => {
    const clock = clockAt(5000, 1_700_000_000_000);
    const timeline = Timeline.anchoredAt(5010, clock);
    const before = timeline.reportAt(65_010);
    clock.wall += 3_600_000;
    expect(timeline.reportAt(65_010)).toEqual(before);
    expect(timeline.reportAt(65_010).ntp - timeline.ntpAt(0)).toBe(60n << 32n);
  });
});

describe('frame times', () => {
  it("rounds each frame's exact time to the nearest tick, without accumulating errors", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...FRAME_RATES),
        fc.integer({ min: 0, max: 5_000_000 }),
        fc.integer({ min: 0, max: 4_200_000_000 }),
        (fps, frame, half) => {
          const start = half * 2;
          const exact = BigInt(start) * 15n * BigInt(fps.num) + 8n * 90_000n * BigInt(frame) * BigInt(fps.den);
          const ticks = BigInt(frameTicks(start, frame, fps)) * 8n * BigInt(fps.num);
          const error = ticks > exact ? ticks - exact : exact - ticks;
          expect(error <= 4n * BigInt(fps.num)).toBe(true);
        },
      ),
    );
  });

  it('finds the first frame at or after an offset', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FRAME_RATES), fc.integer({ min: 0, max: 100_000_000 }), (fps, offset) => {
        const frame = frameAtOrAfter(offset, fps);
        expect(frameOffsetSamples(frame, fps)).toBeGreaterThanOrEqual(offset);
        if (frame > 0) expect(frameOffsetSamples(frame - 1, fps)).toBeLessThan(offset);
      }),
    );
  });
});
