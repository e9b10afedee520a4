import { beforeEach, describe, expect, it } from 'vitest';
import { FakeClip } from '../../testing/fakes.js';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { RepairBudget } from '../rtp/repair-budget.js';
import { RenditionDemand } from './rendition-demand.js';
import { VideoPacer, type VideoSink } from './video-pacer.js';

const RATES = [1_500_000, 500_000, 150_000];
const GOP = 30;
const FRAME_MS = 1000 / 30;

/** Three rungs, whose keyframes are as large as six other frames. */
class LadderClip extends FakeClip {
  /** Rungs that are in memory. */
  readonly inMemory = new Set([0, 1, 2]);
  readonly #frames = new Map<number, PacketizedFrame>();
  /** Rungs that are stored. */
  stored = 3;
  /** Whether every second frame is discardable. */
  isLayered = false;

  override rungs() {
    return RATES.slice(0, this.stored).map((bitrateBps) => ({ bitrateBps }));
  }

  override frame(_codec: 'vp8', frame: number, rung = 0): PacketizedFrame | undefined {
    const last = Math.min(rung, this.stored - 1);
    if (!this.inMemory.has(last)) return undefined;
    const key = frame * 3 + last;
    const keyframe = frame % GOP === 0;
    const bytes = Math.round(((RATES[last] ?? 0) / 8 / 35) * (keyframe ? 6 : 1));
    const count = Math.ceil(bytes / 1142);
    const payloads = Array.from({ length: count }, () => Buffer.alloc(Math.ceil(bytes / count), last));
    const discardable = this.isLayered && (frame % GOP) % 2 === 1;
    const made = this.#frames.get(key) ?? { payloads, keyframe, bytes, discardable };
    this.#frames.set(key, made);
    return made;
  }
}

/** A viewer whose estimate the test sets as its REMB. */
class Viewer implements VideoSink {
  readonly repairs = new RepairBudget();
  readonly bandwidth = new BandwidthEstimator();
  readonly roundTripMs = 50;
  readonly audioBps = 70_000;
  readonly sent: { atMs: number; ticks: number; rung: number; keyframe: boolean; first: boolean; bytes: number }[] = [];
  nowMs = 0;

  sendVideo(frame: PacketizedFrame, ticks: number, from = 0, to = frame.payloads.length): number {
    for (let i = from; i < to; i++) {
      const payload = frame.payloads[i] ?? Buffer.alloc(0);
      const rung = payload[0] ?? 0;
      const { keyframe } = frame;
      this.sent.push({ atMs: this.nowMs, ticks, rung, keyframe, first: i === 0, bytes: payload.length + 68 });
    }
    return to - from;
  }

  forgetVideo(): void {}

  sendPadding(): number {
    return 0;
  }
}

let viewer: Viewer;
let clip: LadderClip;
let demand: RenditionDemand;
let pacer: VideoPacer;

beforeEach(() => {
  viewer = new Viewer();
  clip = new LadderClip({ segment: 'clip', frames: 10_000, gopFrames: GOP });
  demand = new RenditionDemand();
  pacer = new VideoPacer('vp8', viewer, demand);
});

/** Plays frames from one to another at an estimate, pumping every millisecond. @returns What was sent. */
function play(fromFrame: number, toFrame: number, bps?: number) {
  const before = viewer.sent.length;
  for (let frame = fromFrame; frame < toFrame; frame++) {
    const dueMs = frame * FRAME_MS;
    viewer.nowMs = dueMs;
    if (bps !== undefined) viewer.bandwidth.remb(bps, dueMs);
    pacer.show({ clip, frame, startSamples: 0, positionSamples: frame * 1600, ticks: frame * 3000 }, dueMs);
    for (; viewer.nowMs < dueMs + FRAME_MS; viewer.nowMs++) pacer.pump(viewer.nowMs);
  }
  return viewer.sent.slice(before);
}

const rungsOf = (sent: Viewer['sent']) => [...new Set(sent.map(({ rung }) => rung))];
const bpsOf = (sent: Viewer['sent'], seconds: number) =>
  (sent.reduce((sum, { bytes }) => sum + bytes, 0) * 8) / seconds;
const framesOf = (sent: Viewer['sent']) => sent.filter(({ first }) => first).length;

describe("VideoPacer's rendition", () => {
  it('is the largest that fits the estimate beside audio, chosen at keyframes', () => {
    expect(rungsOf(play(0, 30, 2_500_000))).toEqual([0]);
    expect(pacer).toMatchObject({ rung: 0, rungs: 3 });
    const lower = play(30, 90, 700_000);
    expect(rungsOf(lower)).toEqual([1]);
    expect(pacer).toMatchObject({ rung: 1, rungs: 3 });
    expect(lower[0]?.keyframe).toBe(true);
    expect(framesOf(lower)).toBe(60);
    const higher = play(90, 210, 2_500_000);
    expect(rungsOf(higher)).toEqual([0]);
    expect(higher[0]?.keyframe).toBe(true);
    expect(framesOf(higher)).toBe(120);
  });

  it('becomes smaller at once, with the GOP so far, when the estimate collapses within a GOP', () => {
    play(0, 35, 2_500_000);
    const sent = play(35, 45, 500_000);
    const [first] = sent.filter(({ rung }) => rung === 2);
    expect(first).toMatchObject({ keyframe: true, first: true });
    expect((first?.atMs ?? 0) - 35 * FRAME_MS).toBeLessThan(FRAME_MS);
    expect(sent.some(({ rung, atMs }) => rung === 0 && atMs > 36 * FRAME_MS)).toBe(false);
  });

  it('keeps its timestamps increasing over every change', () => {
    play(0, 35, 2_500_000);
    play(35, 100, 200_000);
    play(100, 300, 2_500_000);
    const ticks = viewer.sent.map((packet) => packet.ticks);
    expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
  });

  it('is the only rendition in demand', () => {
    expect([0, 1, 2].map((rung) => demand.has('vp8', rung, 3))).toEqual([true, true, true]);
    play(0, 60);
    expect([0, 1, 2].map((rung) => demand.has('vp8', rung, 3))).toEqual([false, true, false]);
    pacer.close();
    expect(demand.has('vp8', 0, 3)).toBe(true);
  });

  it('is another one while it is not in memory, even a larger one if the path is not known to be narrow', () => {
    clip.inMemory.delete(1);
    clip.inMemory.delete(2);
    expect(rungsOf(play(0, 30))).toEqual([0]);
    clip.inMemory.add(1);
    expect(rungsOf(play(30, 60))).toEqual([1]);
  });

  it('is the one that fits, from a keyframe on, once it is stored', () => {
    clip.stored = 1;
    const starved = play(0, 135, 700_000);
    expect(rungsOf(starved)).toEqual([0]);
    expect(bpsOf(starved, 4.5)).toBeLessThan(700_000);
    expect(pacer).toMatchObject({ rung: 0, rungs: 1 });
    clip.stored = 3;
    const sent = play(135, 240, 700_000);
    expect(rungsOf(sent.filter(({ atMs }) => atMs > 151 * FRAME_MS))).toEqual([1]);
    expect(sent.find(({ rung }) => rung === 1)).toMatchObject({ keyframe: true, first: true });
    expect(framesOf(sent.filter(({ atMs }) => atMs >= 180 * FRAME_MS))).toBe(60);
    expect(pacer).toMatchObject({ rung: 1, rungs: 3 });
  });

  it('is awaited on a narrow path while only a larger one is in memory, then started within its GOP', () => {
    play(0, 30, 700_000);
    clip.inMemory.delete(2);
    expect(play(30, 33, 300_000)).toEqual([]);
    clip.inMemory.add(2);
    const sent = play(33, 36, 300_000);
    expect(rungsOf(sent)).toEqual([2]);
    expect(sent[0]?.keyframe).toBe(true);
  });
});

describe('VideoPacer below the smallest rendition', () => {
  it('sends fewer frames, no more than fit', () => {
    play(0, 60, 150_000);
    const sent = play(60, 360, 150_000);
    expect(bpsOf(sent, 10)).toBeLessThan(90_000);
    expect(framesOf(sent)).toBeGreaterThan(60);
    expect(framesOf(sent)).toBeLessThan(270);
  });

  it('leaves out discardable frames first, and sends the others evenly', () => {
    clip.isLayered = true;
    // Half the frames of the smallest rendition fit, but not all.
    play(0, 60, 200_000);
    const sent = play(60, 360, 200_000);
    const ticks = new Set(sent.map((packet) => packet.ticks));
    expect([...ticks]).toEqual(Array.from({ length: 150 }, (_, i) => (60 + 2 * i) * 3000));
    expect(bpsOf(sent, 10)).toBeLessThan(130_000);
    expect(framesOf(play(360, 390, 300_000))).toBe(30);
  });

  it('catches up on a GOP without its discardable frames', () => {
    clip.isLayered = true;
    play(0, 10, 700_000);
    const showing = { clip, frame: 9, startSamples: 0, positionSamples: 0, ticks: 9 * 3000 };
    const before = viewer.sent.length;
    pacer.recover(showing, 10 * FRAME_MS);
    for (viewer.nowMs = 10 * FRAME_MS; viewer.nowMs < 30 * FRAME_MS; viewer.nowMs++) pacer.pump(viewer.nowMs);
    // Five that others refer to, and the one that is shown.
    expect(framesOf(viewer.sent.slice(before))).toBe(6);
  });

  it('sends keyframes only, then nothing when audio needs all the bandwidth', () => {
    play(0, 60, 90_000);
    const sent = play(60, 660, 90_000);
    expect(bpsOf(sent, 20)).toBeLessThan(25_000);
    expect(framesOf(sent)).toBeGreaterThan(3);
    play(660, 720, 60_000);
    expect(play(720, 1000, 60_000)).toEqual([]);
  });
});

describe("VideoPacer's pacing", () => {
  it('spreads a keyframe at 1.5 times the estimate', () => {
    const sent = play(0, 300, 2_000_000);
    for (let from = 0; from < 10_000; from += 50) {
      const inWindow = sent.filter(({ atMs }) => atMs >= from && atMs < from + 100);
      expect(bpsOf(inWindow, 0.1)).toBeLessThan(1.5 * 2_000_000 * 1.3);
    }
  });

  it('drops nothing for a viewer without feedback', () => {
    const sent = play(0, 300);
    expect(framesOf(sent)).toBe(300);
    expect(pacer.queued).toBe(0);
  });
});

describe("VideoPacer's answer to a keyframe request", () => {
  it('is the next keyframe if repeating the GOP so far would take longer', () => {
    play(0, 55, 200_000);
    const before = viewer.sent.length;
    pacer.recover({ clip, frame: 54, startSamples: 0, positionSamples: 0, ticks: 54 * 3000 }, 55 * FRAME_MS);
    const sent = play(55, 62, 200_000);
    expect(viewer.sent.length).toBeGreaterThan(before);
    expect(sent[0]).toMatchObject({ keyframe: true, ticks: 60 * 3000 });
  });
});
