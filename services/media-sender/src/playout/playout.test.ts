import type { CutPolicy, FinishReason } from '@humancast/protocol';
import { FRAME_RATES, testSize } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClip, type FakeClipOptions, markedSample } from '../../testing/fakes.js';
import { BLOCK_PCM, BLOCK_SAMPLES, Playout, type QueueItem, type ScheduledFrame } from './playout.js';
import { frameOffsetSamples } from './timeline.js';

const LOOKAHEAD = 312;

interface Finished {
  seq: number;
  samples: number;
  reason: FinishReason;
}

/** A playout and everything it has played, by timeline position. */
class Rig {
  readonly pcm: number[] = [];
  readonly frames: ScheduledFrame[] = [];
  readonly started: number[] = [];
  readonly finished: Finished[] = [];
  readonly held: number[] = [];
  readonly waits: boolean[] = [];
  isIdleReady = true;
  readonly playout: Playout;
  readonly first = LOOKAHEAD - BLOCK_SAMPLES;

  constructor(nextIdle: () => FakeClip | undefined, { cutPolicy = 'now' as CutPolicy, crossfadeSamples = 0 } = {}) {
    this.playout = new Playout(this.first, {
      nextIdle,
      isIdleReady: () => this.isIdleReady,
      onWaiting: (isWaiting) => this.waits.push(isWaiting),
      cutPolicy,
      crossfadeSamples,
      pauseSamples: 24_000,
      onStarted: (item) => this.started.push(item.seq),
      onFinished: (item, samples, reason) => this.finished.push({ seq: item.seq, samples, reason }),
      onHeld: (_clip, samples) => this.held.push(samples),
    });
  }

  /** Plays blocks as a sender does: each is decided when its packet is due, and frames are sent at their time. */
  play(blocks: number): this {
    for (let i = 0; i < blocks; i++) {
      const block = new Int16Array(BLOCK_PCM);
      this.playout.next(block);
      this.pcm.push(...block);
      this.leave(this.sentSamples);
    }
    return this;
  }

  /** Position of the packet that was sent last. */
  get sentSamples(): number {
    return this.playout.decidedSamples - LOOKAHEAD - BLOCK_SAMPLES;
  }

  leave(upTo: number): void {
    for (let f = this.playout.peekFrame(); f && f.positionSamples <= upTo; f = this.playout.peekFrame()) {
      this.playout.takeFrame();
      this.frames.push(f);
    }
  }

  /** @returns The PCM sample at an even timeline position. */
  heard(positionSamples: number): number | undefined {
    return this.pcm[(positionSamples - this.first) / 2];
  }

  framesOf(segment: string): ScheduledFrame[] {
    return this.frames.filter((frame) => frame.clip.segment === segment);
  }
}

const idleClip = (options: Partial<FakeClipOptions> = {}) =>
  new FakeClip({ segment: 'idle', role: 'idle', frames: 30, pcmSamples: 0, ...options });
const silentIdle = () => idleClip();
const speech = (seq: number, options: Partial<FakeClipOptions> = {}): QueueItem => ({
  seq,
  clip: new FakeClip({ segment: `s${seq}`, frames: 15, ...options }),
});
const BLOCKS_PER_SECOND = 50;

describe('Playout', () => {
  it('keeps a clip that was left until its last frame has been taken, however far ahead it decides', () => {
    const rig = new Rig(silentIdle);
    const item = speech(1);
    rig.playout.enqueue(item);
    const block = new Int16Array(BLOCK_PCM);
    while (rig.finished.length === 0) rig.playout.next(block);
    const { released } = item.clip as FakeClip;
    expect(released).toBe(0);
    let shown = 0;
    for (let f = rig.playout.takeFrame(); f; f = rig.playout.takeFrame()) {
      if (f.clip === item.clip) shown++;
      expect((item.clip as FakeClip).released).toBe(shown === 15 ? 1 : 0);
    }
    expect(shown).toBe(15);
  });

  it('plays idle clips one after the other, forever, each from its first frame', () => {
    const rig = new Rig(silentIdle).play(5 * BLOCKS_PER_SECOND);
    const numbers = rig.frames.map((frame) => frame.frame);
    expect(numbers.length).toBeGreaterThan(140);
    expect(numbers).toEqual(numbers.map((_, i) => i % 30));
    expect(rig.frames.map((frame) => frame.ticks)).toEqual(numbers.map((_, i) => i * 3000));
  });

  it('joins consecutive segments sample-exactly, whatever part of a packet the first one ends in', () => {
    const rig = new Rig(() => undefined);
    rig.playout.enqueue(speech(1, { pcmSamples: 12_345 }));
    rig.playout.enqueue(speech(2));
    rig.play(2 * BLOCKS_PER_SECOND);
    const join = 2 * 12_345;
    expect(rig.heard(join - 2)).toBe(markedSample(12_344));
    expect(rig.heard(join)).toBe(markedSample(0));
    expect(rig.framesOf('s2')[0]?.positionSamples).toBe(join);
    expect(rig.finished.map((f) => f.reason)).toEqual(['finished', 'finished']);
  });

  it.each([
    ['a tone that ends in mid-cycle', (i: number) => 8000 * Math.sin(i / 7)],
    ['a ramp that ends high and begins low', (i: number) => -9000 + (18_000 * i) / 24_000],
    ['room noise', (i: number) => 3000 * Math.sin(i * i * 0.37)],
    ['a constant level', () => 9000],
  ])('loops idle audio without a pause, click or gap: %s', (audio, wave) => {
    const sample = (index: number) => Math.round(wave(index));
    const rig = new Rig(() => idleClip({ pcmSamples: 24_000, sample }), { crossfadeSamples: 960 }).play(160);
    const steps = (from: number, to: number) => {
      let largest = 0;
      for (let at = from; at < to; at += 2) {
        largest = Math.max(largest, Math.abs((rig.heard(at + 2) ?? 0) - (rig.heard(at) ?? 0)));
      }
      return largest;
    };
    const level = (from: number, to: number) => {
      let sum = 0;
      for (let at = from; at < to; at += 2) sum += (rig.heard(at) ?? 0) ** 2;
      return Math.sqrt((2 * sum) / (to - from));
    };
    const inside = steps(4800, 43_200);
    for (const seam of [48_000, 96_000]) {
      // A raised cosine over 480 samples adds at most π/2/480 of the level to a step.
      expect(steps(seam - 2400, seam + 2400)).toBeLessThan(inside * 1.5 + 18_000 * (Math.PI / 2 / 480) + 2);
    }
    const frames = rig.framesOf('idle').map(({ positionSamples }) => positionSamples);
    expect(frames.every((at, i) => i === 0 || Math.abs(at - (frames[i - 1] ?? 0) - 1600) < 1)).toBe(true);
    if (audio === 'room noise' || audio === 'a constant level') {
      expect(level(48_000, 48_960)).toBeGreaterThan(0.6 * level(20_000, 30_000));
    }
  });

  it.each([
    ['a constant level', 0, Math.PI / 2],
    ['a hum of 50 Hz', 50, 0],
    ['a tone of 440 Hz', 440, 0],
    ['a tone of 1 kHz that joins at its peak', 1000, Math.PI / 2],
  ])('loops idle audio whose ends meet without fading it: %s', (_, hz, phase) => {
    const sample = (i: number) => Math.round(10_000 * Math.sin((2 * Math.PI * hz * i) / 24_000 + phase)) + 0;
    const rig = new Rig(() => idleClip({ pcmSamples: 24_000, sample }), { crossfadeSamples: 384 }).play(160);
    for (let at = 48_000 - 2400; at < 96_000 + 2400; at += 2) {
      if (rig.heard(at) !== sample((at / 2) % 24_000)) expect.fail(`sample ${at / 2} is ${rig.heard(at)}`);
    }
  });

  it('cuts from idle to speech at a frame boundary, audio and video at the same sample', () => {
    const rig = new Rig(silentIdle).play(33);
    rig.playout.enqueue(speech(1));
    rig.play(BLOCKS_PER_SECOND);
    const first = rig.framesOf('s1')[0];
    const lastIdle = rig.frames.filter((f) => f.clip.segment === 'idle' && f.ticks < (first?.ticks ?? 0)).at(-1);
    expect((first?.positionSamples ?? 0) - (lastIdle?.positionSamples ?? 0)).toBe(1600);
    expect(rig.heard(first?.positionSamples ?? 0)).toBe(markedSample(0));
  });

  it("cuts at the idle clip's end or a marked frame if the cut policy says so", () => {
    for (const [cutPolicy, expected] of [
      ['clip-end', 48_000],
      ['marks', 20 * 1600],
    ] as const) {
      const rig = new Rig(() => idleClip({ markFrames: [2, 20] }), { cutPolicy }).play(10);
      rig.playout.enqueue(speech(1));
      expect(rig.playout.nextCut()?.atSamples).toBe(expected);
      rig.play(2 * BLOCKS_PER_SECOND);
      expect(rig.framesOf('s1')[0]?.positionSamples).toBe(expected);
    }
  });

  it('holds both tracks when one is late, and continues both where they stopped', () => {
    let late = false;
    const rig = new Rig(silentIdle);
    rig.playout.enqueue(speech(1, { frames: 60, available: () => (late ? 'late' : 'ready') }));
    rig.play(20);
    late = true;
    rig.play(10);
    expect(rig.playout.holding).toBe(true);
    late = false;
    rig.play(3 * BLOCKS_PER_SECOND);
    expect(rig.held).toEqual([10 * BLOCK_SAMPLES]);
    expect(rig.playout.underruns).toBe(1);
    expectInSync(rig, 's1');
    expect(samplesHeard(rig, 48_000)).toEqual(Array.from({ length: 48_000 }, (_, i) => markedSample(i)));
  });

  it('ends a segment where its media is gone, and plays the next one', () => {
    const rig = new Rig(silentIdle);
    rig.playout.enqueue(speech(1, { frames: 60, available: (_from, to) => (to > 24_000 ? 'gone' : 'ready') }));
    rig.playout.enqueue(speech(2));
    rig.play(3 * BLOCKS_PER_SECOND);
    expect(rig.finished.map((f) => f.reason)).toEqual(['failed', 'finished']);
    expect(rig.finished[0]?.samples).toBeLessThanOrEqual(24_000);
    expect(rig.finished[0]?.samples).toBeGreaterThan(24_000 - BLOCK_SAMPLES);
  });

  it('skips a segment that can never start', () => {
    const rig = new Rig(silentIdle).play(10);
    rig.playout.enqueue(speech(1, { available: () => 'gone' }));
    rig.playout.enqueue(speech(2));
    rig.play(BLOCKS_PER_SECOND);
    expect(rig.finished).toEqual([
      { seq: 1, samples: 0, reason: 'failed' },
      { seq: 2, samples: 24_000, reason: 'finished' },
    ]);
  });

  it('is silent and keeps the last frame without an idle clip', () => {
    let clip: FakeClip | undefined;
    const rig = new Rig(() => clip).play(10);
    expect(rig.frames).toEqual([]);
    clip = silentIdle();
    rig.play(10);
    expect(rig.frames[0]?.frame).toBe(0);
  });

  it('is silent in all blocks decided after an interrupt, and shows idle within a frame', () => {
    const rig = new Rig(silentIdle);
    rig.playout.enqueue(speech(1, { frames: 90 }));
    rig.play(50);
    const decided = rig.playout.decidedSamples;
    const now = rig.sentSamples + 400;
    rig.leave(now);
    rig.playout.interrupt(1, now);
    rig.play(20);
    expect(rig.heard(decided - 2)).not.toBe(0);
    expect(rig.pcm.slice((decided - rig.first) / 2).every((sample) => sample === 0)).toBe(true);
    const idle = rig.frames.filter((f) => f.clip.segment === 'idle' && f.positionSamples > now)[0];
    expect((idle?.positionSamples ?? Infinity) - now).toBeLessThanOrEqual(1600);
    expect(rig.finished).toEqual([{ seq: 1, samples: decided, reason: 'interrupted' }]);
  });

  it("interrupt() right after a segment ends still shows that segment's last frame", () => {
    const rig = new Rig(silentIdle);
    const [first, second] = [speech(1, { fps: { num: 60, den: 1 }, frames: 60 }), speech(2)];
    rig.playout.enqueue(first);
    rig.playout.enqueue(second);
    const end = first.clip.durationSamples;
    while (rig.playout.decidedSamples <= end) rig.play(1);
    rig.playout.interrupt(2, rig.sentSamples);
    rig.play(20);
    expect(rig.finished.map(({ seq, reason }) => ({ seq, reason }))).toEqual([
      { seq: 1, reason: 'finished' },
      { seq: 2, reason: 'interrupted' },
    ]);
    expect(rig.framesOf('s1').map(({ frame }) => frame)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });

  it('fades interrupted audio over the configured time, without a click', () => {
    const rig = new Rig(silentIdle, { crossfadeSamples: 384 });
    const item = speech(1, { frames: 90 });
    rig.playout.enqueue(item);
    rig.play(50);
    const decided = rig.playout.decidedSamples;
    rig.playout.interrupt(1, rig.sentSamples);
    rig.play(5);
    const tail = rig.pcm.slice((decided - rig.first) / 2);
    expect(tail.slice(192).every((sample) => sample === 0)).toBe(true);
    const gains = tail.slice(0, 192).map((sample, i) => sample / markedSample(decided / 2 + i));
    gains.forEach((gain, i) => {
      if (i > 0) expect(gain).toBeLessThanOrEqual((gains[i - 1] as number) + 0.001);
    });
    expect(gains[0]).toBeGreaterThan(0.99);
    expect(gains.at(-1)).toBeLessThan(0.01);
  });

  it('plays speech that is ready right after an interrupt', () => {
    const rig = new Rig(silentIdle);
    rig.playout.enqueue(speech(1, { frames: 90 }));
    rig.play(50);
    const now = rig.sentSamples;
    rig.playout.interrupt(1, now);
    rig.playout.enqueue(speech(2));
    rig.play(10);
    const after = rig.frames.filter((f) => f.positionSamples > now)[0];
    expect(after?.clip.segment).toBe('s2');
    expectInSync(rig, 's2');
  });

  it('drops queued items, and those that arrive after the interrupt that covers them', () => {
    const rig = new Rig(silentIdle).play(5);
    rig.playout.enqueue(speech(1, { available: () => 'late' }));
    rig.playout.interrupt(2, rig.sentSamples);
    rig.playout.enqueue(speech(2));
    rig.playout.interrupt(2, rig.sentSamples);
    rig.playout.enqueue(speech(3));
    rig.play(BLOCKS_PER_SECOND);
    expect(rig.finished.map((f) => [f.seq, f.reason])).toEqual([
      [1, 'dropped'],
      [2, 'dropped'],
      [3, 'finished'],
    ]);
  });

  it("resumes another host's segment at the exact sample, once", () => {
    const rig = new Rig(silentIdle);
    rig.playout.resumeAt({ segment: 's7', seq: 7, positionSamples: 120_480, throughSeq: 0 });
    rig.play(5);
    rig.playout.enqueue(speech(7, { frames: 120 }));
    rig.playout.enqueue(speech(8));
    rig.play(3 * BLOCKS_PER_SECOND);
    expect(rig.pcm.find((sample) => sample !== 0)).toBe(markedSample(60_240));
    expect(rig.framesOf('s7')[0]?.frame).toBe(76);
    expect(rig.framesOf('s8')[0]?.frame).toBe(0);
    expectInSync(rig, 's7');
    expect(rig.finished).toEqual([
      { seq: 7, samples: 4 * 48_000, reason: 'finished' },
      { seq: 8, samples: 24_000, reason: 'finished' },
    ]);
  });

  it.each([
    ['had', 8, markedSample(0.2 * 24_000)],
    ['did not have', 7, markedSample(0)],
  ])(
    'continues in the next segment when the previous host %s it queued and has finished the first',
    (_had, throughSeq, heard) => {
      const rig = new Rig(silentIdle);
      rig.playout.resumeAt({ segment: 's7', seq: 7, positionSamples: 0.4 * 48_000, throughSeq });
      rig.playout.playedOn(0.3 * 48_000);
      rig.playout.enqueue(speech(7, { frames: 15 }));
      rig.playout.enqueue(speech(8));
      rig.play(BLOCKS_PER_SECOND);
      expect(rig.pcm.find((sample) => sample !== 0)).toBe(heard);
      expect(rig.framesOf('s7')).toEqual([]);
      expect(rig.started).toEqual([7, 8]);
      expect(rig.finished).toEqual([
        { seq: 7, samples: 24_000, reason: 'finished' },
        { seq: 8, samples: 24_000, reason: 'finished' },
      ]);
    },
  );

  it('continues in the next segment, whenever that is fetched', () => {
    const rig = new Rig(silentIdle);
    rig.playout.resumeAt({ segment: 's7', seq: 7, positionSamples: 0.4 * 48_000, throughSeq: 8 });
    rig.playout.playedOn(0.3 * 48_000);
    expect(rig.playout.canResume).toBe(false);
    rig.playout.enqueue(speech(7, { frames: 15 }));
    expect(rig.playout.canResume).toBe(true);
    rig.play(2);
    rig.playout.enqueue(speech(8));
    rig.play(BLOCKS_PER_SECOND);
    expect(rig.pcm.find((sample) => sample !== 0)).toBe(markedSample(0.2 * 24_000));
    expect(rig.started).toEqual([7, 8]);
    expect(rig.playout.canResume).toBe(true);
  });

  describe('changeIdle()', () => {
    const playlist = (options: Partial<FakeClipOptions> = {}) => {
      let count = 0;
      return () => idleClip({ segment: `i${count++}`, frames: 300, ...options });
    };

    it.each([
      ['now', 30],
      ['marks', 60],
      ['clip-end', 300],
    ] as const)('leaves the idle clip where the cut policy %s allows it', (cutPolicy, frames) => {
      const rig = new Rig(playlist({ markFrames: [20, 60] }), { cutPolicy });
      rig.play(BLOCKS_PER_SECOND);
      rig.playout.changeIdle();
      rig.play(9.5 * BLOCKS_PER_SECOND);
      const left = rig.framesOf('i0').length;
      expect(left).toBeGreaterThanOrEqual(frames);
      expect(left).toBeLessThanOrEqual(frames + 2);
      expect(rig.framesOf('i1')[0]?.frame).toBe(0);
      expect(rig.framesOf('i2')).toEqual([]);
    });

    it('waits until the next clip is in memory', () => {
      const rig = new Rig(playlist());
      rig.isIdleReady = false;
      rig.play(5);
      rig.playout.changeIdle();
      rig.play(BLOCKS_PER_SECOND);
      expect(rig.framesOf('i1')).toEqual([]);
      rig.isIdleReady = true;
      rig.play(5);
      expect(rig.framesOf('i1').length).toBeGreaterThan(0);
    });
  });

  describe('an item whose media stalls for longer than the pause length', () => {
    /** Position of the stall: the end of the last block that has arrived. The first block begins before the anchor. */
    const stoppedSamples = LOOKAHEAD + 66 * BLOCK_SAMPLES;

    /** Queues an item of 3 s, of which `arrived` is in memory. */
    function paused(nextIdle: () => FakeClip | undefined = silentIdle) {
      const arrived = { samples: 64_000 };
      const rig = new Rig(nextIdle);
      rig.playout.enqueue(speech(1, { frames: 90, available: (_, to) => (to <= arrived.samples ? 'ready' : 'late') }));
      return { rig, arrived };
    }

    it('is replaced by idle, and continues where it was with both tracks in sync', () => {
      const { rig, arrived } = paused();
      rig.play(15 * BLOCKS_PER_SECOND);
      expect(rig.waits).toEqual([true]);
      expect(rig.framesOf('s1').map(({ frame }) => frame)).toEqual(Array.from({ length: 40 }, (_, i) => i));
      expect(rig.framesOf('idle').length).toBeGreaterThan(13 * 30);
      expect(rig.finished).toEqual([]);
      const from = rig.pcm.length;
      arrived.samples = 144_000;
      rig.play(3 * BLOCKS_PER_SECOND);
      const firstHeard = rig.pcm.findIndex((sample, i) => i >= from && sample !== 0);
      expect(rig.pcm[firstHeard]).toBe(markedSample(stoppedSamples / 2));
      const resumed = rig.framesOf('s1').slice(40);
      expect(resumed.map(({ frame }) => frame)).toEqual(Array.from({ length: 50 }, (_, i) => 40 + i));
      for (const { frame, positionSamples } of resumed) {
        expect(rig.heard(positionSamples)).toBe(markedSample(frameOffsetSamples(frame, { num: 30, den: 1 }) / 2));
      }
      expect(rig.started).toEqual([1]);
      expect(rig.waits).toEqual([true, false]);
      expect(rig.finished).toEqual([{ seq: 1, samples: 144_000, reason: 'finished' }]);
    });

    it('is the resumption of another host instead of the idle clip that is shown', () => {
      const { rig } = paused();
      rig.play(5 * BLOCKS_PER_SECOND);
      expect(rig.playout.playheadAt(rig.sentSamples)?.seq).toBe(0);
      expect(rig.playout.waiting).toBe(true);
      expect(rig.playout.resumptionAt(rig.sentSamples)).toMatchObject({
        seq: 1,
        segment: 's1',
        positionSamples: stoppedSamples,
      });
    });

    it('is interrupted at its position', () => {
      const { rig, arrived } = paused();
      rig.play(5 * BLOCKS_PER_SECOND);
      rig.playout.interrupt(1, rig.sentSamples);
      expect(rig.finished).toEqual([{ seq: 1, samples: stoppedSamples, reason: 'interrupted' }]);
      expect(rig.waits).toEqual([true, false]);
      arrived.samples = 144_000;
      const heard = rig.pcm.filter((sample) => sample !== 0).length;
      rig.play(3 * BLOCKS_PER_SECOND);
      expect(rig.pcm.filter((sample) => sample !== 0)).toHaveLength(heard);
      expect(rig.playout.waiting).toBe(false);
    });

    it('keeps its last frame without an idle clip', () => {
      const { rig, arrived } = paused(() => undefined);
      rig.play(5 * BLOCKS_PER_SECOND);
      arrived.samples = 144_000;
      rig.play(3 * BLOCKS_PER_SECOND);
      expect(rig.frames.map(({ frame }) => frame)).toEqual(Array.from({ length: 90 }, (_, i) => i));
      expect(rig.held).toHaveLength(1);
    });

    it('holds its last frame instead of idle if the stall is shorter', () => {
      const { rig, arrived } = paused();
      rig.play(Math.floor(64_000 / BLOCK_SAMPLES) + 20);
      arrived.samples = 144_000;
      rig.play(3 * BLOCKS_PER_SECOND);
      expect(rig.held).toHaveLength(1);
      expect(rig.frames.slice(0, 90).every(({ clip }) => clip.segment === 's1')).toBe(true);
    });
  });

  it("resumes the previous host's idle clip, or a later one if that host has played it to its end", () => {
    const playlist = () => {
      let turn = 0;
      return () => idleClip({ segment: `i${turn++ % 3}` });
    };
    const within = new Rig(playlist());
    within.playout.resumeAt({ segment: 'i0', seq: 0, positionSamples: 0.5 * 48_000, throughSeq: 0 });
    within.play(BLOCKS_PER_SECOND);
    expect(within.frames.map(({ clip, frame }) => [clip.segment, frame]).slice(0, 2)).toEqual([
      ['i0', 15],
      ['i0', 16],
    ]);
    expect(within.framesOf('i1')[0]?.frame).toBe(0);

    const beyond = new Rig(playlist());
    beyond.playout.resumeAt({ segment: 'i0', seq: 0, positionSamples: 0.5 * 48_000, throughSeq: 0 });
    beyond.playout.playedOn(1.7 * 48_000);
    beyond.play(10);
    expect([beyond.frames[0]?.clip.segment, beyond.frames[0]?.frame]).toEqual(['i2', 6]);

    const other = new Rig(playlist());
    other.playout.resumeAt({ segment: 'gone', seq: 0, positionSamples: 0.5 * 48_000, throughSeq: 0 });
    other.play(10);
    expect([other.frames[0]?.clip.segment, other.frames[0]?.frame]).toEqual(['i0', 0]);
  });

  it('waits while nothing can be sent', () => {
    const rig = new Rig(silentIdle);
    rig.playout.enqueue(speech(1, { frames: 60 }));
    rig.play(20);
    rig.playout.skip(100);
    rig.pcm.push(...new Array<number>(100 * BLOCK_PCM).fill(0));
    rig.play(3 * BLOCKS_PER_SECOND);
    expectInSync(rig, 's1');
    expect(rig.finished).toEqual([{ seq: 1, samples: 96_000, reason: 'finished' }]);
  });

  const hours = testSize(24, 2);
  it(`keeps exact time over ${hours} hours of clips of all frame rates`, () => {
    const rates = [
      { num: 24_000, den: 1001 },
      { num: 25, den: 1 },
      { num: 30_000, den: 1001 },
      { num: 60_000, den: 1001 },
    ];
    let turn = 0;
    let expectedStart = 0n;
    let worstTicks = 0n;
    let count = 0;
    const clips = rates.map((fps, i) => {
      const clip = new FakeClip({ segment: `i${i}`, role: 'idle', fps, frames: 997 + i, pcmSamples: 0 });
      clip.readPcm = () => {};
      return clip;
    });
    const playout = new Playout(0, {
      nextIdle: () => clips[turn++ % clips.length],
      isIdleReady: () => true,
      onWaiting: () => {},
      cutPolicy: 'now',
      crossfadeSamples: 384,
      pauseSamples: 24_000,
      onStarted: () => {},
      onFinished: () => {},
      onHeld: () => {},
    });
    const block = new Int16Array(BLOCK_PCM);
    for (let i = 0; i < hours * 3600 * BLOCKS_PER_SECOND; i++) {
      playout.next(block);
      for (let f = playout.takeFrame(); f; f = playout.takeFrame()) {
        if (f.frame === 0 && count > 0) expectedStart += BigInt(clips[(turn + 2) % clips.length]?.durationSamples ?? 0);
        // start·15/8 + k·90000·den/num in exact arithmetic: twice the tick, rounded
        const { num, den } = f.clip.fps;
        const exact = (expectedStart * 15n * BigInt(num) + 8n * 90_000n * BigInt(f.frame) * BigInt(den)) * 2n;
        const error = BigInt(f.ticks) * 16n * BigInt(num) - exact;
        const absolute = error < 0n ? -error : error;
        if (absolute > 8n * BigInt(num)) worstTicks = absolute;
        count++;
      }
    }
    expect(count).toBeGreaterThan(hours * 84_000);
    expect(worstTicks).toBe(0n);
  }, 120_000);

  it('keeps both tracks in sync, in order and without a gap, whenever media arrives', () => {
    const fps = fc.constantFrom(...FRAME_RATES);
    const segment = fc.record({
      fps,
      frames: fc.integer({ min: 1, max: 90 }),
      pcmSamples: fc.integer({ min: 0, max: 40_000 }),
      /** Blocks of simulated time in which the segment is late. */
      late: fc.array(fc.record({ from: fc.integer({ min: 0, max: 300 }), length: fc.integer({ min: 1, max: 30 }) }), {
        maxLength: 3,
      }),
    });
    const at = fc.integer({ min: 0, max: 400 });
    const action = fc.oneof(
      { weight: 3, arbitrary: fc.record({ kind: fc.constant('speak' as const), at, segment }) },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('interrupt' as const), at, into: fc.integer({ min: 0, max: 959 }) }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ kind: fc.constant('skip' as const), at, blocks: fc.integer({ min: 1, max: 40 }) }),
      },
    );
    const policy = fc.constantFrom<CutPolicy>('now', 'clip-end', 'marks');
    fc.assert(
      fc.property(fc.array(action, { maxLength: 12 }), policy, fps, (actions, cutPolicy, idleFps) => {
        const idle = () => idleClip({ fps: idleFps, frames: 37, markFrames: [5, 19] });
        const rig = new Rig(idle, { cutPolicy });
        const items = simulate(rig, actions);
        // Every item is finished exactly once, and released.
        expect(rig.finished.map((f) => f.seq).sort((a, b) => a - b)).toEqual([...items.keys()]);
        expect([...items.values()].map((clip) => clip.released)).toEqual([...items].map(() => 1));
        // RTP timestamps only increase.
        const ticks = rig.frames.map((frame) => frame.ticks);
        expect(ticks.every((tick, i) => i === 0 || tick > (ticks[i - 1] ?? 0))).toBe(true);
        for (const [seq, clip] of items) expectPlayedInOrder(rig, seq, clip);
      }),
      { numRuns: testSize(300, 12) },
    );
  }, 180_000);
});

/** Expects that at each frame of a clip, the audio is that clip's audio of that instant, or silence. */
function expectInSync(rig: Rig, segment: string): void {
  for (const { clip, frame, positionSamples } of rig.framesOf(segment)) {
    const heard = rig.heard(2 * Math.ceil(positionSamples / 2));
    if (heard === undefined || heard === 0) continue; // not decided yet; silent
    const index = Math.ceil(frameOffsetSamples(frame, clip.fps) / 2);
    // the frame's exact time may lie between two samples
    expect([markedSample(index), markedSample(index + 1), markedSample(Math.max(0, index - 1))]).toContain(heard);
  }
}

/** @returns All samples that are not zero, in order. */
function samplesHeard(rig: Rig, limit: number): number[] {
  return rig.pcm.filter((sample) => sample !== 0).slice(0, limit);
}

type Action =
  | {
      kind: 'speak';
      at: number;
      segment: Omit<FakeClipOptions, 'segment'> & { late: { from: number; length: number }[] };
    }
  | { kind: 'interrupt'; at: number; into: number }
  | { kind: 'skip'; at: number; blocks: number };

/** Plays twelve seconds with these actions, then closes the playout. @returns The items that were queued. */
function simulate(rig: Rig, actions: readonly Action[]): Map<number, FakeClip> {
  const items = new Map<number, FakeClip>();
  let tick = 0;
  const act = (action: Action) => {
    if (action.kind === 'speak') {
      const { late, ...rest } = action.segment;
      const isLate = () => late.some(({ from, length }) => tick >= from && tick < from + length);
      const seq = items.size + 1;
      const clip = new FakeClip({ segment: `s${seq}`, ...rest, available: () => (isLate() ? 'late' : 'ready') });
      items.set(seq, clip);
      rig.playout.enqueue({ seq, clip });
    } else if (action.kind === 'interrupt') {
      const now = rig.sentSamples + action.into;
      rig.leave(now);
      rig.playout.interrupt(items.size, now);
    } else {
      rig.playout.skip(action.blocks);
      rig.pcm.push(...new Array<number>(action.blocks * BLOCK_PCM).fill(0));
    }
  };
  for (; tick < 600; tick++) {
    for (const action of actions) if (action.at === tick) act(action);
    rig.play(1);
  }
  // An item can finish in the last block while frames are decided and not due yet.
  rig.leave(rig.playout.decidedSamples);
  rig.playout.close(rig.sentSamples, true);
  return items;
}

function expectPlayedInOrder(rig: Rig, seq: number, clip: FakeClip): void {
  const outcome = rig.finished.find((f) => f.seq === seq);
  const frames = rig.framesOf(clip.segment).map((f) => f.frame);
  expectInSync(rig, clip.segment);
  expect(frames).toEqual(frames.map((_, i) => i));
  if (outcome?.reason !== 'finished') return;
  expect(outcome.samples).toBe(clip.durationSamples);
  expect(frames).toHaveLength(clip.frames);
}
