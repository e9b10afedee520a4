import type { FinishReason } from '@humancast/protocol';
import { testSize } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClip, FakeTime, markedSample } from '../../testing/fakes.js';
import { DelayEncoder, Receiver } from '../../testing/receiver.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { REPAIR_LIMIT_BYTES } from '../rtp/repair-budget.js';
import type { Clip } from './clip.js';
import { BLOCK_PCM } from './playout.js';
import { Scheduler } from './scheduler.js';
import { SessionPlayer } from './session-player.js';
import { Stagger } from './stagger.js';
import { frameTicks } from './timeline.js';

class Rig {
  readonly time = new FakeTime();
  readonly finished: { seq: number; samples: number; reason: FinishReason; atMs: number }[] = [];
  readonly late: number[] = [];
  readonly skews: number[] = [];
  readonly interruptions: { track: 'audio' | 'video'; ms: number }[] = [];
  readonly faults: [of: string, error: string][] = [];
  skippedMs = 0;
  /** Number of packets that may still be sent before the lease expires; each call of `maySend` counts as one. */
  asksLeft = Number.POSITIVE_INFINITY;
  readonly maySend = () => this.asksLeft-- > 0;
  readonly scheduler = new Scheduler(
    this.time,
    (error) => {
      throw error;
    },
    this.time,
  );
  readonly player: SessionPlayer;

  constructor({
    idle = new FakeClip({ segment: 'idle', role: 'idle', frames: 60, pcmSamples: 0 }) as Clip,
    stagger = new Stagger(),
  } = {}) {
    this.player = new SessionPlayer({
      clock: this.time,
      scheduler: this.scheduler,
      encoder: new DelayEncoder(),
      metrics: {
        late: (_track, ms) => this.late.push(ms),
        frameSent: (ms) => this.skews.push(ms),
        bandwidthEstimated: () => {},
        skipped: (ms) => {
          this.skippedMs += ms;
        },
        interrupted: (track, ms) => this.interruptions.push({ track, ms }),
      },
      cutPolicy: 'now',
      crossfadeSamples: 0,
      pauseSamples: 33_600,
      stagger,
      maySend: this.maySend,
      nextIdle: () => idle,
      isIdleReady: () => true,
      onWaiting: () => {},
      onStarted: () => {},
      onFinished: (item, samples, reason) =>
        this.finished.push({ seq: item.seq, samples, reason, atMs: this.time.now }),
      onHeld: () => {},
      onServed: () => {},
      onViewerFault: (viewer, error) => this.faults.push([viewer, String(error)]),
      onFault: (error) => this.faults.push(['session', String(error)]),
    });
  }

  watch(id = 'viewer'): Receiver {
    const receiver = new Receiver(this.time, this.maySend);
    this.player.start();
    this.player.addViewer(id, 'vp8', receiver);
    return receiver;
  }
}

const speech = (seq: number, frames = 90) => ({ seq, clip: new FakeClip({ segment: `s${seq}`, frames }) });

/** @returns The RTP timestamp and value of every PCM sample that is not zero. */
function samplesOf(receiver: Receiver): { ticks: number; value: number }[] {
  return receiver.audio.flatMap(({ ticks, heard }) =>
    [...heard].flatMap((value, i) => (value === 0 ? [] : [{ ticks: ticks + 2 * i, value }])),
  );
}

describe('SessionPlayer', () => {
  it('sends an audio packet every 20 ms and every frame at its time, never early', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.time.advance(3000);
    const anchor = (receiver.audio[0]?.atMs ?? 0) - (receiver.audio[0]?.ticks ?? 0) / 48;
    expect(receiver.audio.map((packet) => packet.ticks)).toEqual(receiver.audio.map((_, i) => i * 960));
    expect(receiver.video.map((frame) => frame.ticks)).toEqual(receiver.video.map((_, i) => i * 3000));
    expect(receiver.audio.length).toBeGreaterThan(148);
    expect(receiver.video.length).toBeGreaterThan(88);
    expect(Math.min(...rig.late)).toBeGreaterThanOrEqual(0);
    for (const frame of receiver.video) expect(frame.atMs - anchor).toBeGreaterThanOrEqual(frame.ticks / 90 - 2);
  });

  it('resumes in sync with a host that plays on, and at the position of one that has stopped', () => {
    const clip = () => new FakeClip({ segment: 's1', frames: 300 });
    const before = new Rig();
    const old = before.watch();
    before.player.enqueue({ seq: 1, clip: clip() });
    before.time.advance(2340);
    const { positionSamples } = before.player.playhead() as { positionSamples: number };
    const savedMs = before.time.now;
    const resumption = { segment: 's1', seq: 1, positionSamples, throughSeq: 1 };
    const takeOver = (playsOn: boolean, afterMs: number) => {
      const rig = new Rig();
      rig.time.now = savedMs;
      rig.player.resumeAt(resumption, playsOn ? { fromMs: savedMs, untilMs: savedMs + 5000 } : undefined);
      rig.player.enqueue({ seq: 1, clip: clip() });
      rig.time.advance(afterMs);
      const receiver = rig.watch();
      rig.time.advance(500);
      return { receiver, anchorMs: (receiver.audio[0]?.atMs ?? 0) - (receiver.audio[0]?.ticks ?? 0) / 48 };
    };
    before.time.advance(1500);
    const oldAnchorMs = (old.audio[0]?.atMs ?? 0) - (old.audio[0]?.ticks ?? 0) / 48;
    /** @returns When each sample of the clip is heard. */
    const heardMs = (receiver: Receiver, anchorMs: number) =>
      new Map(samplesOf(receiver).map(({ ticks, value }) => [value, anchorMs + ticks / 48]));
    const moved = takeOver(true, 730);
    const byOld = heardMs(old, oldAnchorMs);
    const byNew = heardMs(moved.receiver, moved.anchorMs);
    expect(byNew.size).toBeGreaterThan(10_000);
    // Positions are rounded up to a whole PCM sample, and timers to a whole millisecond.
    for (const [value, ms] of byNew) expect(Math.abs(ms - (byOld.get(value) ?? Number.NaN))).toBeLessThan(1.1);
    const [first] = samplesOf(takeOver(false, 730).receiver);
    expect(first?.value).toBe(markedSample(Math.ceil(positionSamples / 2)));
    // The other host plays on only for a time; what follows has not been heard.
    const [late] = samplesOf(takeOver(true, 7000).receiver);
    expect(late?.value).toBe(markedSample(Math.ceil((positionSamples + 5000 * 48) / 2)));
  });

  it('sends the GOP again when a clip is resumed within it after idle', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    let arrivedSamples = 64_000;
    const available = (_: number, to: number) => (to <= arrivedSamples ? 'ready' : 'late');
    rig.player.enqueue({ seq: 1, clip: new FakeClip({ segment: 's1', frames: 90, gopFrames: 30, available }) });
    rig.time.advance(5000);
    const before = receiver.video.length;
    arrivedSamples = 144_000;
    rig.time.advance(1000);
    const sent = receiver.video.slice(before).map(({ frame }) => frame.payloads[0]?.[0] ?? -1);
    const back = sent.findIndex((frame, i) => frame === 41 && sent[i - 1] === 40);
    expect(sent.slice(back - 11, back + 1)).toEqual([30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41]);
    const ticks = receiver.video.map((frame) => frame.ticks);
    expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
  });

  it('measures how much later than its audio a frame is sent', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.time.advance(3000);
    expect(rig.skews).toHaveLength(receiver.video.length);
    // Timers have whole milliseconds.
    expect(Math.max(...rig.skews.map(Math.abs))).toBeLessThanOrEqual(1.001);
    // Frozen repeatedly, it has sometimes sent the audio of an instant and not its video.
    for (let i = 0; i < 10; i++) {
      rig.time.now += 100;
      rig.time.advance(107);
    }
    expect(Math.max(...rig.skews)).toBeGreaterThan(80);
  });

  it('reports within 100 ms of the first packet, then about every second, with exact pairs of timestamps', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.time.advance(2000);
    rig.time.wallOffsetMs += 7_200_000; // the wall clock is stepped
    rig.time.advance(8000);
    const first = receiver.reports[0];
    expect((first?.atMs ?? Infinity) - (receiver.audio[0]?.atMs ?? 0)).toBeLessThanOrEqual(100);
    for (const report of receiver.reports) {
      const elapsed = Number(report.ntp - (first?.ntp ?? 0n)) / 2 ** 32;
      expect(report.audioTicks - (first?.audioTicks ?? 0)).toBeCloseTo(elapsed * 48_000, 3);
      expect(report.videoTicks - (first?.videoTicks ?? 0)).toBeCloseTo(elapsed * 90_000, 3);
    }
    const gaps = receiver.reports.slice(1).map((report, i) => report.atMs - (receiver.reports[i]?.atMs ?? 0));
    expect(Math.max(...gaps)).toBeLessThan(1100);
  });

  it('gives audio and video of one instant the same NTP time, as a receiver computes it', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.time.advance(501);
    const item = { seq: 1, clip: new FakeClip({ segment: 's1', frames: 72, fps: { num: 24_000, den: 1001 } }) };
    rig.player.enqueue(item);
    rig.time.advance(4000);
    const [firstSample] = samplesOf(receiver);
    expect(firstSample?.value).toBe(markedSample(0));
    const start = firstSample?.ticks ?? 0;
    const ticks = new Set(receiver.video.map((frame) => frame.ticks));
    for (let k = 0; k < 72; k++) {
      const tick = frameTicks(start, k, item.clip.fps);
      expect(ticks.has(tick)).toBe(true);
      const seen = receiver.ntpSeconds('video', tick) - receiver.ntpSeconds('audio', start);
      expect(Math.abs(seen - (k * 1001) / 24_000)).toBeLessThan(1 / 90_000);
    }
  });

  it('stops audio within a packet and shows idle within a frame, wherever a segment is interrupted', () => {
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 2900 }), (afterMs) => {
        const rig = new Rig();
        const receiver = rig.watch();
        rig.player.enqueue(speech(1));
        rig.time.advance(afterMs);
        const acceptedMs = rig.time.now;
        rig.player.interrupt(1);
        rig.player.interrupt(1);
        rig.time.advance(500);
        const voiced = receiver.audio.filter(({ heard }) => heard.some((sample) => sample !== 0));
        expect((voiced.at(-1)?.atMs ?? 0) - acceptedMs).toBeLessThanOrEqual(22);
        const next = receiver.video.find((frame) => frame.atMs > acceptedMs);
        expect((next?.atMs ?? Infinity) - acceptedMs).toBeLessThanOrEqual(36);
        expect(next?.frame.keyframe).toBe(true);
        // The measured times are what the viewer sees, once per track.
        expect(rig.interruptions.map(({ track }) => track).sort()).toEqual(['audio', 'video']);
        const measured = new Map(rig.interruptions.map(({ track, ms }) => [track, ms]));
        expect(measured.get('audio')).toBeLessThanOrEqual(22);
        expect(measured.get('audio')).toBeGreaterThanOrEqual((voiced.at(-1)?.atMs ?? 0) - acceptedMs - 0.001);
        expect(measured.get('video')).toBeCloseTo((next?.atMs ?? 0) - acceptedMs, 3);
        expect(rig.finished).toHaveLength(1);
        // The reported position is what was heard.
        expect(rig.finished[0]?.samples).toBe(2 * samplesOf(receiver).length);
      }),
      { numRuns: testSize(60, 10) },
    );
  });

  it('accepts an interrupt before the first packet, and when nothing plays', () => {
    const rig = new Rig();
    rig.player.enqueue(speech(1));
    rig.player.interrupt(1);
    const receiver = rig.watch();
    rig.time.advance(200);
    rig.player.interrupt(1);
    rig.time.advance(200);
    expect(rig.finished.map((f) => f.reason)).toEqual(['dropped']);
    expect(samplesOf(receiver)).toEqual([]);
    expect(receiver.video.length).toBeGreaterThan(8);
  });

  it('sends a second viewer the GOP so far at once, then the same timestamps', () => {
    const rig = new Rig();
    const first = rig.watch('a');
    rig.time.advance(510);
    const second = rig.watch('b');
    expect(second.video[0]?.frame.keyframe).toBe(true);
    rig.time.advance(300);
    const ticks = second.video.map((frame) => frame.ticks);
    expect(ticks).toEqual([...ticks].sort((a, b) => a - b));
    expect(ticks.slice(-5)).toEqual(first.video.slice(-5).map((frame) => frame.ticks));
    expect(second.audio[0]?.ticks).toBe(first.audio.find((packet) => packet.atMs === second.audio[0]?.atMs)?.ticks);
  });

  it('answers a keyframe request with the GOP so far, with increasing timestamps', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.time.advance(500);
    const before = receiver.video.length;
    rig.player.recover('viewer');
    rig.time.advance(60);
    const again = receiver.video.slice(before);
    expect(again[0]?.frame.keyframe).toBe(true);
    const ticks = receiver.video.map((frame) => frame.ticks);
    expect(ticks.every((tick, i) => i === 0 || tick > (ticks[i - 1] ?? 0))).toBe(true);
  });

  /** 1.5 Mb/s, with keyframes of a tenth of their GOP. */
  function realisticIdle(): FakeClip {
    const idle = new FakeClip({ segment: 'idle', role: 'idle', frames: 60, pcmSamples: 0 });
    idle.frame = (_codec, k) => {
      const keyframe = k % idle.gopFrames === 0;
      const payloads = Array.from({ length: keyframe ? 17 : 5 }, () => Buffer.alloc(1100));
      return { payloads, keyframe, bytes: 1100 * payloads.length };
    };
    return idle;
  }

  /** @returns The bytes that a viewer is sent in 20 s after the first second. */
  function bytesWith(requestEveryMs: number | undefined): number {
    const rig = new Rig({ idle: realisticIdle() });
    const receiver = rig.watch();
    // The transport does this for each packet that it sends.
    const send = receiver.sendVideo.bind(receiver);
    receiver.sendVideo = (frame, ticks, from = 0, to = frame.payloads.length) => {
      const sent = send(frame, ticks, from, to);
      for (const payload of frame.payloads.slice(from, from + sent)) receiver.repairs.earn(payload.length);
      return sent;
    };
    rig.time.advance(1000);
    const before = receiver.video.length;
    for (let ms = 0; ms < 20_000; ms += 50) {
      if (requestEveryMs !== undefined && ms % requestEveryMs === 0) rig.player.recover('viewer');
      rig.time.advance(50);
    }
    return receiver.video
      .slice(before)
      .flatMap(({ frame, from, to }) => frame.payloads.slice(from, to))
      .reduce((sum, payload) => sum + payload.length, 0);
  }

  it.each([50, 200, 700, 1000, 1450])(
    'sends hardly more to a viewer that requests a keyframe every %i ms',
    (everyMs) => {
      const media = bytesWith(undefined);
      const flooded = bytesWith(everyMs);
      expect(flooded).toBeGreaterThan(0.8 * media);
      expect(flooded).toBeLessThanOrEqual(1.25 * media + REPAIR_LIMIT_BYTES);
      expect(flooded / media).toBeLessThan(1.3);
    },
  );

  it('answers a request shortly before a keyframe with that keyframe only', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    const numberOf = (packet: (typeof receiver.video)[number] | undefined) => packet?.frame.payloads[0]?.readUInt8(0);
    for (let ms = 0; ms < 3000 && numberOf(receiver.video.at(-1)) !== 27; ms++) rig.time.advance(1);
    const sent = receiver.video.length;
    rig.player.recover('viewer');
    rig.time.advance(160);
    const after = receiver.video.slice(sent).map(numberOf);
    expect(after.slice(0, 2)).toEqual([30, 31]);
  });

  it('answers again after a second or two round trips, and not before', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    receiver.roundTripMs = 900;
    const keyframes = () => receiver.video.filter(({ frame, ticks }) => frame.keyframe && ticks % 90_000 !== 0).length;
    rig.time.advance(500);
    for (let i = 0; i < 10; i++) {
      rig.player.recover('viewer');
      rig.time.advance(100);
    }
    expect(keyframes()).toBe(1);
    rig.time.advance(800);
    rig.player.recover('viewer');
    rig.time.advance(100);
    expect(keyframes()).toBe(2);
  });

  it('waits instead of sending a burst after the process was frozen, and plays everything', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.player.enqueue(speech(1, 60));
    rig.time.advance(800);
    const before = receiver.audio.length;
    rig.time.now += 5000;
    rig.time.advance(3);
    expect(receiver.audio.length - before).toBeLessThanOrEqual(2);
    expect(rig.skippedMs).toBeGreaterThan(4900);
    rig.time.advance(3000);
    const values = samplesOf(receiver).map((sample) => sample.value);
    expect(values).toEqual(values.map((_, i) => markedSample(i)));
    expect(values).toHaveLength(48_000);
  });

  it('sends nothing while suspended, and continues where it was', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.player.enqueue(speech(1, 60));
    rig.time.advance(800);
    rig.player.suspend();
    const before = receiver.audio.length;
    rig.time.advance(2000);
    expect(receiver.audio.length).toBe(before);
    rig.player.resume();
    rig.time.advance(3000);
    expect(samplesOf(receiver)).toHaveLength(48_000);
    expect(rig.finished.map((f) => f.reason)).toEqual(['finished']);
  });

  /** Short enough that all its samples differ: {@link markedSample} repeats after 32,000. */
  const LEASED_FRAMES = 39;

  /** Freezes for 250 ms within a segment; the lease runs out after this many packets of the next run, and again later. */
  function loseLease(afterMs: number, asks: readonly number[]) {
    const rig = new Rig();
    const receiver = rig.watch();
    const item = speech(1, LEASED_FRAMES);
    item.clip.frame = (_codec, k) => ({
      payloads: [0, 1, 2].map((part) => Buffer.from([k, part])),
      keyframe: k % item.clip.gopFrames === 0,
      bytes: 6,
    });
    rig.player.enqueue(item);
    rig.time.advance(afterMs);
    for (const left of asks) {
      rig.time.now += 250;
      rig.asksLeft = left;
      rig.time.advance(2);
      rig.player.suspend();
      const playhead = rig.player.playhead();
      const heard = Math.max(0, ...samplesOf(receiver).map(({ value }) => value));
      if (playhead?.seq === 1) expect(playhead.positionSamples / 2).toBeLessThanOrEqual(heard + BLOCK_PCM);
      rig.time.advance(1500);
      rig.asksLeft = Number.POSITIVE_INFINITY;
      rig.player.resume();
    }
    rig.time.advance(4000);
    const spoken = receiver.video
      .flatMap(({ frame, from, to }) => frame.payloads.slice(from, to))
      .filter(({ length }) => length === 2)
      .map((payload) => [...payload]);
    return { receiver, spoken, finished: rig.finished.map(({ reason }) => reason) };
  }

  it('continues with the first unsent packet when the lease runs out within a run, repeatedly', () => {
    const asks = fc.integer({ min: 0, max: 60 });
    fc.assert(
      fc.property(fc.integer({ min: 60, max: 1200 }), fc.array(asks, { maxLength: 3 }), (afterMs, leases) => {
        const { receiver, spoken, finished } = loseLease(afterMs, leases);
        expect(finished).toEqual(['finished']);
        expect(spoken).toEqual(Array.from({ length: 3 * LEASED_FRAMES }, (_, i) => [Math.floor(i / 3), i % 3]));
        const ticks = receiver.video.map((packet) => packet.ticks);
        expect(ticks).toEqual(ticks.toSorted((x, y) => x - y));
        const heard = samplesOf(receiver).map(({ value }) => value);
        expect(heard).toEqual([...new Set(heard)].toSorted((x, y) => x - y));
        expect(heard).toHaveLength(LEASED_FRAMES * 800);
      }),
      { numRuns: testSize(30, 6) },
    );
  });

  it('spreads the packets of a large frame over its duration', () => {
    const big: PacketizedFrame = {
      payloads: Array.from({ length: 50 }, () => Buffer.alloc(500)),
      keyframe: true,
      bytes: 25_000,
    };
    const idle = new FakeClip({ segment: 'idle', role: 'idle', frames: 60, pcmSamples: 0 });
    const frame = idle.frame.bind(idle);
    idle.frame = (codec, k) => (k % 30 === 0 ? big : frame(codec, k));
    const rig = new Rig({ idle });
    const receiver = rig.watch();
    rig.time.advance(100);
    const parts = receiver.video.filter((part) => part.frame === big);
    expect(Math.max(...parts.map((part) => part.to - part.from))).toBeLessThanOrEqual(10);
    expect(parts.map((part) => part.from)).toEqual([0, ...parts.slice(0, -1).map((part) => part.to)]);
    expect(parts.at(-1)?.to).toBe(50);
    expect((parts.at(-1)?.atMs ?? 0) - (parts[0]?.atMs ?? 0)).toBeLessThan(33);
  });

  it('continues for the other viewers if serving one throws', () => {
    const rig = new Rig();
    const [broken, other] = [rig.watch('broken'), rig.watch('other')];
    rig.time.advance(500);
    broken.sendAudio = () => {
      throw new Error('no socket');
    };
    rig.time.advance(500);
    expect(rig.faults).toEqual([['broken', 'Error: no socket']]);
    expect(other.audio.map(({ ticks }) => ticks)).toEqual(other.audio.map((_, i) => i * 960));
    expect(other.audio.length).toBeGreaterThan(48);
    expect(rig.player.viewerCount).toBe(1);
  });

  it('reports a fault when playing throws, and stops', () => {
    const idle = new FakeClip({ segment: 'idle', role: 'idle', frames: 60, pcmSamples: 0 });
    const rig = new Rig({ idle });
    rig.watch();
    rig.time.advance(200);
    idle.readPcm = () => {
      throw new RangeError('not there');
    };
    rig.time.advance(200);
    expect(rig.faults).toEqual([['session', 'RangeError: not there']]);
    expect(rig.scheduler.size).toBe(0);
  });

  it('close() finishes every item once and sends nothing more', () => {
    const rig = new Rig();
    const receiver = rig.watch();
    rig.player.enqueue(speech(1));
    rig.player.enqueue(speech(2));
    rig.time.advance(300);
    rig.player.close({ finish: true });
    rig.player.close({ finish: true });
    const before = receiver.audio.length;
    rig.time.advance(1000);
    expect(receiver.audio.length).toBe(before);
    expect(rig.finished.map((f) => [f.seq, f.reason])).toEqual([
      [1, 'interrupted'],
      [2, 'dropped'],
    ]);
    expect(rig.scheduler.size).toBe(0);
  });
});
