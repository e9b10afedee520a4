import { describe, expect, it } from 'vitest';
import type { InboundTotals, ReceiverSnapshot } from './receiver-stats.js';
import { ReceiverSync } from './receiver-sync.js';

/** Effects of the network and the browser without any target. */
interface Path {
  loss: number;
  roundTripMs: number;
  minimumMs?: { audio: number; video: number };
  /** Video minus audio as played while both buffers hold their calm minimum, ms. */
  skewMs?: number;
  /** Share of a video target for rendering and decoding, ms. Default: 10, for rendering alone. */
  renderMs?: number;
}

const CALM_MS = { audio: 45, video: 25 };

/**
 * Chromium's receivers: each buffer moves toward the largest of its minimum and its target, at most 100 ms per second. A
 * decrease of a target appears in the statistics a second later.
 */
class Browser {
  readonly receivers = { audio: { jitterBufferTarget: null }, video: { jitterBufferTarget: null } } as {
    audio: { jitterBufferTarget: number | null };
    video: { jitterBufferTarget: number | null };
  };
  sync: ReceiverSync;
  nowMs = 0;
  skews: number[] = [];
  #delay = { audio: 0, video: 0 };
  #aim = { audio: 0, video: 0 };
  #last: ReceiverSnapshot = { audio: undefined, video: undefined, roundTrip: undefined };

  constructor(initial?: ReceiverSync['state']) {
    this.sync = new ReceiverSync(this.receivers, 0, initial);
  }

  pass(seconds: number, { loss, roundTripMs, minimumMs = CALM_MS, skewMs = 0, renderMs = 10 }: Path): void {
    for (let i = 0; i < seconds; i++) {
      this.nowMs += 1000;
      const targets = this.targets;
      const aim = {
        audio: Math.max(minimumMs.audio, targets.audio ?? 0),
        video: Math.max(minimumMs.video, targets.video ?? 0),
      };
      for (const track of ['audio', 'video'] as const) {
        const delay = this.#delay[track] || aim[track];
        this.#delay[track] = delay + Math.max(-100, Math.min(100, aim[track] - delay));
      }
      const shown = {
        audio: Math.max(aim.audio, this.#aim.audio),
        video: Math.max(aim.video, this.#aim.video),
      };
      this.#aim = aim;
      const skew = skewMs + this.#delay.video - CALM_MS.video - (this.#delay.audio - CALM_MS.audio);
      this.skews.push(skew);
      const now: ReceiverSnapshot = {
        audio: { ...this.#inbound('audio', 50, loss, shown.audio, minimumMs.audio, skew), concealedSamples: 0 },
        video: {
          ...this.#inbound('video', 170, loss, shown.video - renderMs, minimumMs.video - renderMs, 0),
          framesDecoded: 0,
          framesDropped: 0,
          freezeCount: 0,
          totalFreezesDuration: 0,
          width: 0,
          height: 0,
        },
        roundTrip: roundTripMs / 1000,
      };
      if (this.#last.audio) this.sync.update(this.#last, now, this.nowMs);
      this.#last = now;
    }
  }

  get targets(): { audio: number | null; video: number | null } {
    const { audio, video } = this.receivers;
    return { audio: audio.jitterBufferTarget, video: video.jitterBufferTarget };
  }

  #inbound(track: 'audio' | 'video', packets: number, loss: number, aimMs: number, minimumMs: number, aheadMs: number) {
    const last = this.#last[track];
    const lost = Math.round(packets * loss);
    return {
      packetsReceived: (last?.packetsReceived ?? 0) + packets - lost,
      packetsLost: (last?.packetsLost ?? 0) + lost,
      bytesReceived: 0,
      jitterBufferDelay: 0,
      jitterBufferTargetDelay: (last?.jitterBufferTargetDelay ?? 0) + aimMs / 1000,
      jitterBufferMinimumDelay: (last?.jitterBufferMinimumDelay ?? 0) + minimumMs / 1000,
      jitterBufferEmittedCount: (last?.jitterBufferEmittedCount ?? 0) + 1,
      estimatedPlayoutTimestamp: 1e6 + this.nowMs + aheadMs,
      timestamp: this.nowMs,
    } satisfies InboundTotals;
  }
}

const CLEAN = { loss: 0, roundTripMs: 100 };
const LOSSY = { loss: 0.05, roundTripMs: 100 };
const worst = (skews: readonly number[]) => Math.max(...skews.map(Math.abs));

describe('ReceiverSync', () => {
  it('sets no target on a clean path in sync', () => {
    const browser = new Browser();
    browser.pass(30, CLEAN);
    expect(browser.targets).toEqual({ audio: null, video: null });
    expect(browser.sync.sharedDelayMs).toBe(0);
  });

  it('delays both tracks equally while losses occur, so that the skew is unchanged', () => {
    const browser = new Browser();
    browser.pass(5, CLEAN);
    browser.pass(30, LOSSY);
    // 290 ms for two requests.
    expect(browser.targets).toEqual({ audio: 310, video: 290 });
    expect(browser.sync.sharedDelayMs).toBe(265);
    expect(worst(browser.skews)).toBeLessThanOrEqual(3);
  });

  it('adds the decoding time, so that the video buffer covers repairs', () => {
    const browser = new Browser();
    const minimumMs = { audio: 105, video: 85 };
    browser.pass(5, { ...CLEAN, minimumMs, renderMs: 54 });
    browser.pass(30, { ...LOSSY, minimumMs, renderMs: 54 });
    // 290 ms for two requests include 10 ms for rendering.
    expect((browser.targets.video ?? 0) - 54).toBeGreaterThanOrEqual(280);
    expect(worst(browser.skews.slice(-10))).toBeLessThanOrEqual(3);
  });

  it('keeps the trim and continues it on top', () => {
    const browser = new Browser();
    browser.pass(30, { ...CLEAN, skewMs: -40 });
    expect(worst(browser.skews.slice(-5))).toBeLessThanOrEqual(3);
    const before = browser.targets;
    expect(before).toEqual({ audio: null, video: expect.closeTo(65, -1) });
    browser.skews = [];
    browser.pass(40, { ...LOSSY, skewMs: -40 });
    expect(worst(browser.skews)).toBeLessThanOrEqual(5);
    expect(browser.sync.trimMs.audio).toBe(0);
    browser.skews = [];
    browser.pass(60, { ...LOSSY, skewMs: -70 });
    expect(worst(browser.skews.slice(-20))).toBeLessThanOrEqual(3);
    expect(browser.sync.trimMs.video).toBeGreaterThanOrEqual(25);
  });

  it('removes the delay slowly and in sync on a clean path, until no target is left', () => {
    const browser = new Browser();
    browser.pass(5, CLEAN);
    browser.pass(20, LOSSY);
    browser.skews = [];
    browser.pass(15, CLEAN);
    expect(browser.targets.audio).toBeGreaterThan(200);
    browser.pass(40, CLEAN);
    expect(worst(browser.skews)).toBeLessThanOrEqual(5);
    expect(browser.targets).toEqual({ audio: null, video: null });
  });

  it('returns to the previous trim when it has removed the delay', () => {
    const browser = new Browser();
    browser.pass(30, { ...CLEAN, skewMs: 30 });
    const before = browser.targets;
    browser.pass(20, { ...LOSSY, skewMs: 30 });
    browser.skews = [];
    browser.pass(60, { ...CLEAN, skewMs: 30 });
    expect(browser.targets).toEqual({ audio: expect.closeTo(before.audio ?? 0, -1), video: null });
    expect(worst(browser.skews)).toBeLessThanOrEqual(5);
  });

  it('delays video with audio while a queue makes the audio buffer grow, and reduces both slowly', () => {
    const browser = new Browser();
    browser.pass(10, CLEAN);
    for (const audio of [140, 240, 320, 320, 320, 320]) browser.pass(1, { ...CLEAN, minimumMs: { ...CALM_MS, audio } });
    expect(browser.targets).toEqual({ audio: 320, video: 300 });
    expect(worst(browser.skews)).toBeLessThanOrEqual(200);
    browser.skews = [];
    for (const audio of [230, 150, 100]) browser.pass(1, { ...CLEAN, minimumMs: { ...CALM_MS, audio } });
    browser.pass(17, CLEAN);
    expect(browser.targets.audio).toBeGreaterThan(100);
    browser.pass(10, CLEAN);
    expect(worst(browser.skews)).toBeLessThanOrEqual(10);
    expect(browser.targets).toEqual({ audio: null, video: null });
  });

  it('keeps the trim while it reduces the delay, although the browser lags behind', () => {
    const browser = new Browser();
    browser.pass(10, CLEAN);
    browser.pass(5, { ...CLEAN, minimumMs: { audio: 520, video: 25 } });
    browser.pass(12, { ...CLEAN, skewMs: -50 });
    browser.skews = [];
    browser.pass(10, { ...CLEAN, skewMs: -35 });
    expect(worst(browser.skews)).toBeLessThanOrEqual(20);
  });

  it("uses the buffers' delays before the disturbance as the base", () => {
    const browser = new Browser();
    browser.pass(10, CLEAN);
    browser.pass(1, { ...CLEAN, minimumMs: { audio: 100, video: 25 } });
    browser.pass(1, { ...LOSSY, minimumMs: { audio: 240, video: 25 } });
    browser.pass(5, LOSSY);
    expect(browser.targets).toEqual({ audio: 310, video: 290 });
  });

  it('keeps both targets if the network delays both tracks alike', () => {
    const browser = new Browser();
    browser.pass(10, CLEAN);
    browser.pass(10, { ...CLEAN, minimumMs: { audio: 145, video: 125 } });
    expect(browser.targets).toEqual({ audio: null, video: null });
  });

  it('holds no buffer longer than 700 ms', () => {
    const browser = new Browser();
    browser.pass(5, { loss: 0, roundTripMs: 900 });
    browser.pass(30, { loss: 0.1, roundTripMs: 900 });
    expect(browser.targets).toEqual({ audio: 700, video: 680 });
  });

  it('passes its delays to the next connection', () => {
    const browser = new Browser();
    browser.pass(30, { ...CLEAN, skewMs: -40 });
    const { targets } = browser;
    browser.pass(20, { ...LOSSY, skewMs: -40 });
    expect(browser.sync.state).toEqual({
      trim: { audio: null, video: expect.closeTo(targets.video ?? 0, -1) },
      repairDelayMs: 290,
    });
    const next = new Browser(browser.sync.state);
    next.pass(5, { ...CLEAN, skewMs: -40 });
    expect(next.targets.video).toBeGreaterThanOrEqual(285);
    expect(worst(next.skews.slice(-2))).toBeLessThanOrEqual(5);
  });

  it('does nothing if the browser lacks jitterBufferTarget or does not report its targets', () => {
    const without = new ReceiverSync({}, 0);
    const empty: ReceiverSnapshot = { audio: undefined, video: undefined, roundTrip: 0.1 };
    without.update(empty, empty, 1000);
    expect(without.state).toBeUndefined();
    const browser = new Browser({ trim: { audio: null, video: null }, repairDelayMs: 240 });
    browser.sync.update(empty, empty, 1000);
    expect(browser.targets).toEqual({ audio: null, video: null });
  });
});
