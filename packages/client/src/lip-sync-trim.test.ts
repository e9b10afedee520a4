import { describe, expect, it } from 'vitest';
import { LipSyncTrim, type LipSyncTrimOptions, type SyncTargets } from './lip-sync-trim.js';

/** A receiver like Chromium's: its delay is the maximum of what the network, its own sync and the target require. */
interface Plant {
  /** Skew with no target set, ms. */
  skewMs: number;
  /** Delay that the network requires of each buffer, ms. */
  audioMinimumMs?: number;
  videoMinimumMs?: number;
  /** Speed of a buffer's change, ms per second. */
  slewMsPerS?: number;
  /** Peak of the measurement's noise, ms. */
  noiseMs?: number;
  /** Step of the browser's estimate, ms. */
  quantumMs?: number;
  /** Effect of a move relative to what the trim expects. */
  gain?: number;
  /** Overrides the measured skew of one second; `null`: no value. */
  measured?: (second: number, skewMs: number) => number | null;
  /** Changes the natural skew over time. */
  drift?: (second: number) => number;
  /** Whether the browser hides its buffers' targets. */
  mute?: boolean;
}

interface Second {
  skewMs: number;
  targets: SyncTargets;
  addedMs: number;
  moved: boolean;
}

function run(plant: Plant, seconds: number, options?: LipSyncTrimOptions): Second[] {
  const trim = new LipSyncTrim(options);
  const { audioMinimumMs = 40, videoMinimumMs = 20, slewMsPerS = 100, gain = 1 } = plant;
  const random = pseudoRandom();
  const log: Second[] = [];
  let audioMs = audioMinimumMs;
  let videoMs = videoMinimumMs;
  let targets = trim.targets;
  for (let second = 0; second < seconds; second++) {
    const audioAim = Math.max(audioMinimumMs, targets.audio ?? 0);
    const videoAim = Math.max(videoMinimumMs, targets.video ?? 0);
    audioMs += clamp(audioAim - audioMs, slewMsPerS);
    videoMs += clamp(videoAim - videoMs, slewMsPerS);
    const delayed = gain * (videoMs - videoMinimumMs - (audioMs - audioMinimumMs));
    const skewMs = plant.skewMs + (plant.drift?.(second) ?? 0) + delayed;
    const noisy = skewMs + (random() * 2 - 1) * (plant.noiseMs ?? 0);
    const quantum = plant.quantumMs ?? 1;
    const seen = plant.measured ? plant.measured(second, noisy) : noisy;
    const before = targets;
    targets = trim.update({
      skewMs: seen === null ? undefined : Math.round(seen / quantum) * quantum,
      delay: plant.mute
        ? { audio: {}, video: {} }
        : {
            audio: { targetMs: audioAim, minimumMs: audioMinimumMs },
            video: { targetMs: videoAim, minimumMs: videoMinimumMs },
          },
    });
    const moved = before.audio !== targets.audio || before.video !== targets.video;
    log.push({ skewMs, targets, addedMs: trim.addedMs.audio + trim.addedMs.video, moved });
  }
  return log;
}

const skewsFrom = (log: Second[], second: number) => log.slice(second).map(({ skewMs }) => skewMs);
const worst = (values: number[]) => Math.max(...values.map(Math.abs));
/** @returns The number of times that the skew changed sides, excluding the dead band. */
const swings = (log: Second[]) => {
  const sides = log.filter(({ skewMs }) => Math.abs(skewMs) > 3).map(({ skewMs }) => Math.sign(skewMs));
  return sides.filter((side, i) => i > 0 && side !== sides[i - 1]).length;
};

describe('LipSyncTrim', () => {
  for (const skewMs of [-60, -25, -8, 8, 25, 60]) {
    it(`corrects ${skewMs} ms without overshoot, then rests`, () => {
      const log = run({ skewMs }, 60);
      expect(worst(skewsFrom(log, 25))).toBeLessThanOrEqual(3);
      expect(swings(log)).toBe(0);
      expect(log.slice(30).some(({ moved }) => moved)).toBe(false);
    });
  }

  it('needs at most ten seconds from the initial skew of a perfect sender', () => {
    for (const skewMs of [-35, -15, 15, 35]) expect(worst(skewsFrom(run({ skewMs }, 30), 10))).toBeLessThanOrEqual(6);
  });

  it('delays the track that is early, and never both', () => {
    const late = run({ skewMs: 30 }, 40).at(-1)?.targets;
    expect(late).toEqual({ audio: expect.closeTo(70, -1), video: null });
    const early = run({ skewMs: -30 }, 40).at(-1)?.targets;
    expect(early).toEqual({ audio: null, video: expect.closeTo(50, -1) });
  });

  it('leaves audio unchanged inside the dead band, because it moves in steps', () => {
    const log = run({ skewMs: 2.5, noiseMs: 0.4 }, 300);
    expect(log.some(({ moved }) => moved)).toBe(false);
  });

  it('corrects lasting skew slowly inside the dead band if video is the delayed track', () => {
    for (const skewMs of [-2.5, -42.5]) {
      const log = run({ skewMs, noiseMs: 0.8 }, 300);
      expect(worst(skewsFrom(log, 80))).toBeLessThanOrEqual(1.5);
      expect(log.slice(80).some(({ moved }) => moved)).toBe(false);
    }
    // If it is delayed too much after a change, that is reverted in the same small steps.
    const changed = run({ skewMs: -40, noiseMs: 0.8, drift: (second) => (second < 60 ? 0 : 2.5) }, 300);
    expect(worst(skewsFrom(changed, 120))).toBeLessThanOrEqual(1.5);
  });

  it('does not correct a drifting estimate', () => {
    const wander = (second: number, skewMs: number) => skewMs + (second % 2 === 0 ? 4 : -4);
    expect(run({ skewMs: -2, measured: wander }, 300).some(({ moved }) => moved)).toBe(false);
  });

  it('moves rarely and stays in sync under noise, coarse estimates and slow buffers', () => {
    const log = run({ skewMs: -40, noiseMs: 6, quantumMs: 5, slewMsPerS: 12 }, 600);
    const after = skewsFrom(log, 40);
    expect(worst(after)).toBeLessThanOrEqual(8);
    expect(log.slice(40).filter(({ moved }) => moved).length).toBeLessThan(600 / 20);
  });

  it('does not oscillate if a move has half or one and a half times the expected effect', () => {
    for (const gain of [0.5, 1.5]) {
      const log = run({ skewMs: -45, gain }, 120);
      expect(worst(skewsFrom(log, 60))).toBeLessThanOrEqual(4);
      expect(swings(log)).toBeLessThanOrEqual(1);
    }
  });

  it('ignores single outliers, clock steps, and seconds without a value', () => {
    const wild = (second: number, skewMs: number) => {
      if (second % 7 === 0) return 90;
      if (second % 11 === 0) return -4000;
      return second % 5 === 0 ? null : skewMs;
    };
    const log = run({ skewMs: 1, measured: wild }, 200);
    expect(log.some(({ moved }) => moved)).toBe(false);
    expect(worst(skewsFrom(run({ skewMs: 30, measured: wild }, 200), 40))).toBeLessThanOrEqual(4);
    expect(run({ skewMs: 0, measured: () => Number.NaN }, 20).some(({ moved }) => moved)).toBe(false);
  });

  it('follows a lasting change, and removes its delay before it delays the other track', () => {
    const log = run({ skewMs: -40, drift: (second) => (second < 60 ? 0 : 70) }, 150);
    expect(log[59]?.targets).toEqual({ audio: null, video: expect.any(Number) });
    expect(worst(skewsFrom(log, 90))).toBeLessThanOrEqual(4);
    expect(log.at(-1)?.targets).toEqual({ audio: expect.any(Number), video: null });
    for (const { targets } of log) expect(targets.audio === null || targets.video === null).toBe(true);
  });

  it('removes the whole delay when it is no longer needed', () => {
    const log = run({ skewMs: 50, drift: (second) => (second < 60 ? 0 : -50) }, 120);
    expect(log[59]?.addedMs).toBeGreaterThan(40);
    expect(log.at(-1)?.addedMs).toBeLessThanOrEqual(4);
  });

  it('starts from the targets of another connection, and removes them if they were wrong', () => {
    const right = run({ skewMs: -30 }, 30, { initial: { audio: null, video: 50 } });
    expect(right.some(({ moved }) => moved)).toBe(false);
    const wrong = run({ skewMs: 0 }, 30, { initial: { audio: null, video: 50 } });
    expect(wrong.at(-1)?.addedMs).toBeLessThanOrEqual(3);
  });

  it('never adds more than its limit', () => {
    expect(Math.max(...run({ skewMs: -400 }, 200).map(({ addedMs }) => addedMs))).toBe(150);
    expect(Math.max(...run({ skewMs: 400 }, 200, { maxAddedMs: 60 }).map(({ addedMs }) => addedMs))).toBe(60);
  });

  it("starts at the buffer's present delay, even if the browser does not report it", () => {
    const samples = run({ skewMs: -12, videoMinimumMs: 100 }, 12);
    expect(Math.abs(samples.at(-1)?.skewMs ?? 99)).toBeLessThanOrEqual(3);
    const mute = run({ skewMs: -12, videoMinimumMs: 100, mute: true }, 120);
    expect(Math.abs(mute.at(-1)?.skewMs ?? 99)).toBeLessThanOrEqual(3);
  });
});

function clamp(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}

/** A seeded generator (mulberry32), so that every run is the same. */
function pseudoRandom(seed = 42): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
