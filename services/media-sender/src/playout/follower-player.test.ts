import type { Codec } from '@humancast/protocol';
import { DecisionDecoder, DecisionEncoder, type Decisions } from '@humancast/shared';
import { testSize } from '@humancast/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClip, FakeTime } from '../../testing/fakes.js';
import { DelayEncoder, Receiver } from '../../testing/receiver.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { DecisionWriter } from './decision-writer.js';
import { FollowerPlayer } from './follower-player.js';
import { BLOCK_SAMPLES } from './playout.js';
import { Scheduler } from './scheduler.js';
import { SessionPlayer } from './session-player.js';
import { Stagger } from './stagger.js';
import { Timeline } from './timeline.js';

/** Time by the clock of Redis minus the monotonic clock of both processes, which is the same here. */
const REDIS_OFFSET_MS = 1_700_000_000_000;
const SILENCE = Buffer.from([1, 0]);
/** Entries of a second. */
const SECOND = 25;
const ignore = () => {};
const fail = (error: unknown) => {
  throw error;
};

/** @returns The id of a segment by its name. */
const idOf = (name: string) => `seg_${name.padEnd(8, '0')}`;

/** A clip of one player, which has nothing in memory once it is released, and little behind what is followed. */
class OwnClip extends FakeClip {
  #fromFrame = 0;

  override follow(positionSamples: number): void {
    const shown = Math.ceil((positionSamples * this.fps.num) / (this.fps.den * 48_000)) - 1;
    this.#fromFrame = Math.max(0, shown - (shown % this.gopFrames) - this.gopFrames);
  }

  override frame(codec: Codec, frame: number): PacketizedFrame | undefined {
    return this.released > 0 || frame < this.#fromFrame ? undefined : super.frame(codec, frame);
  }
}

/** A host and a follower on one clock. */
class Fleet {
  readonly time = new FakeTime();
  readonly scheduler = new Scheduler(this.time, fail, this.time);
  readonly segments = new Map<string, OwnClip>();
  readonly skews: number[] = [];
  missed = 0;
  /** A host's last published decisions. */
  last: Decisions | undefined;
  epoch = 1;
  /** Delay of decisions on their way to the follower, ms. */
  travelMs = (): number => 1;
  /** Decisions do not arrive. */
  isCut = false;
  /** Entries that are kept for a follower that begins later. */
  kept = 100;
  mayStandIn = true;
  readonly host: SessionPlayer;
  readonly follower: FollowerPlayer;
  readonly crossfadeSamples: number;
  #decoder: DecisionDecoder | undefined = new DecisionDecoder('session');
  #stream: Buffer[][] = [];
  #arrivesMs = 0;

  /** @param crossfadeSamples Default: none, because a fade that has begun is not continued by another process. */
  constructor({ crossfadeSamples = 0 } = {}) {
    this.crossfadeSamples = crossfadeSamples;
    const idle = this.clip('idle', 60, 'idle');
    this.host = this.newHost(idle);
    this.follower = new FollowerPlayer({
      clock: this.time,
      scheduler: this.scheduler,
      metrics: {
        late: ignore,
        frameSent: ignore,
        bandwidthEstimated: ignore,
        skipped: ignore,
        followed: (ms) => this.skews.push(ms),
        missed: () => this.missed++,
      },
      maySend: () => true,
      silence: SILENCE,
      standIn: () => ({
        encoder: new DelayEncoder(),
        cutPolicy: 'now',
        crossfadeSamples: this.crossfadeSamples,
        pauseSamples: 24_000,
        nextIdle: () => (this.mayStandIn ? new OwnClip(idle) : undefined),
        isIdleReady: () => true,
      }),
      openClip: async (segment) => {
        const clip = this.segments.get(segment);
        return clip && new OwnClip(clip);
      },
      onServed: ignore,
      onViewerFault: (_viewer, error) => fail(error),
      onFault: fail,
    });
  }

  clip(name: string, frames: number, role: 'idle' | 'speech' = 'speech'): OwnClip {
    const segment = idOf(name);
    const clip = new OwnClip({ segment, frames, role });
    this.segments.set(segment, clip);
    return clip;
  }

  newHost(idle: OwnClip): SessionPlayer {
    return new SessionPlayer({
      clock: this.time,
      scheduler: this.scheduler,
      encoder: new DelayEncoder(),
      metrics: {
        late: ignore,
        frameSent: ignore,
        bandwidthEstimated: ignore,
        skipped: ignore,
        interrupted: ignore,
      },
      cutPolicy: 'now',
      crossfadeSamples: this.crossfadeSamples,
      stagger: new Stagger(),
      maySend: () => true,
      nextIdle: () => new OwnClip(idle),
      isIdleReady: () => true,
      pauseSamples: 24_000,
      onWaiting: ignore,
      onStarted: ignore,
      onFinished: ignore,
      onHeld: ignore,
      onServed: ignore,
      onViewerFault: (_viewer, error) => fail(error),
      onFault: fail,
    });
  }

  /** Lets the follower follow a host from now on. */
  follow(host = this.host): void {
    const writer = new DecisionWriter();
    const encoder = new DecisionEncoder();
    const { epoch } = this;
    host.follow((step) => {
      const content = writer.add(step);
      if (content && host.timeline) {
        const anchorMs = host.timeline.anchorMs + REDIS_OFFSET_MS;
        const resumption = host.decidedResumption;
        const after = resumption && {
          segment: resumption.segment,
          seq: resumption.seq,
          positionSamples: resumption.positionSamples,
        };
        this.#send({ ...content, epoch, anchorMs, next: host.upcoming, ...(after && { after }) }, encoder);
      }
    });
  }

  #send(decisions: Decisions, encoder: DecisionEncoder): void {
    this.last = decisions;
    // As Redis does: whole entries, in order.
    this.#arrivesMs = Math.max(this.#arrivesMs, this.time.now + this.travelMs());
    if (this.isCut) {
      encoder.refresh();
      return;
    }
    const fields = encoder.encode(decisions).map((value) => Buffer.from(value));
    this.#stream.push(fields);
    this.#stream.splice(0, this.#stream.length - this.kept);
    const decoder = this.#decoder;
    if (decoder) this.time.set(() => this.#accept(fields, decoder), this.#arrivesMs - this.time.now);
  }

  #accept(fields: readonly Buffer[], decoder: DecisionDecoder): void {
    const decisions = decoder.decode(fields);
    if (decisions) this.follower.accept(decisions, REDIS_OFFSET_MS);
  }

  /** Lets the follower read nothing until {@link beginReading}. */
  stopReading(): void {
    this.#decoder = undefined;
  }

  /** Lets the follower read what is kept, and all that follows. */
  beginReading(): void {
    const decoder = new DecisionDecoder('session');
    this.#decoder = decoder;
    for (const fields of this.#stream) this.#accept(fields, decoder);
  }

  watchHost(host = this.host): Receiver {
    const receiver = new Receiver(this.time, () => true);
    host.start();
    host.addViewer('viewer', 'vp8', receiver);
    return receiver;
  }

  watchFollower(): Receiver {
    const receiver = new Receiver(this.time, () => true);
    this.follower.addViewer('other', 'vp8', receiver);
    return receiver;
  }

  /** Queues speech of these numbers of frames. */
  speak(frames: readonly number[]): void {
    for (const [i, count] of frames.entries()) {
      this.host.enqueue({ seq: i + 1, clip: this.clip(`s${i + 1}`, count) });
    }
  }

  /** Promises of opened clips resolve between two steps of the clock. */
  async advance(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5) {
      this.time.advance(Math.min(5, left));
      await Promise.resolve();
      await Promise.resolve();
    }
  }
}

/** A host and a follower that play, each with a viewer. */
async function followed() {
  const fleet = new Fleet();
  const near = fleet.watchHost();
  fleet.follow();
  await fleet.advance(500);
  const far = fleet.watchFollower();
  await fleet.advance(300);
  return { fleet, near, far };
}

const audioOf = (receiver: Receiver) =>
  new Map(receiver.packets.map(({ ticks, opus }) => [ticks, opus.toString('hex')]));
/** Frames by timestamp. Those of a GOP that is sent again to a viewer that joins in it have others. */
const framesOf = (receiver: Receiver) =>
  new Map(receiver.video.map(({ ticks, frame }) => [ticks, frame.payloads[0]?.toString('hex')]));

/** @returns The segment that a frame is of. */
const nameOf = ({ payloads: [payload] }: PacketizedFrame) => payload?.subarray(1).toString();

/** Compares what both were sent from a position on, both tracks. */
function expectSame(host: Receiver, follower: Receiver, fromSamples: number): void {
  const untilSamples = Math.min(host.packets.at(-1)?.ticks ?? 0, follower.packets.at(-1)?.ticks ?? 0);
  const within = (ticks: number, rate: number) =>
    ticks / rate >= fromSamples / 48_000 && ticks / rate < untilSamples / 48_000;
  const audio = [audioOf(host), audioOf(follower)].map((all) => [...all].filter(([ticks]) => within(ticks, 48_000)));
  const video = [framesOf(host), framesOf(follower)].map((all) => [...all].filter(([ticks]) => within(ticks, 90_000)));
  expect(audio[0]?.length).toBeGreaterThan(10);
  expect(audio[1]).toEqual(audio[0]);
  expect(video[1]).toEqual(video[0]);
}

describe('FollowerPlayer', () => {
  it('plays the same packets and frames as the host, at the same time, whatever is queued and interrupted', async () => {
    const action = fc.record({
      afterMs: fc.integer({ min: 1, max: 900 }),
      kind: fc.constantFrom('speak' as const, 'interrupt' as const, 'wait' as const),
      frames: fc.integer({ min: 1, max: 60 }),
    });
    const travel = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 8 }), travel, async (actions, travels) => {
        const fleet = new Fleet({ crossfadeSamples: 960 });
        let sent = 0;
        fleet.travelMs = () => travels[sent++ % travels.length] as number;
        const near = fleet.watchHost();
        await fleet.advance(100);
        fleet.follow();
        await fleet.advance(200);
        const far = fleet.watchFollower();
        const fromSamples = (far.packets.at(-1)?.ticks ?? fleet.time.now * 48) + 9600;
        let seq = 0;
        for (const { afterMs, kind, frames } of actions) {
          await fleet.advance(afterMs);
          if (kind === 'speak') fleet.host.enqueue({ seq: ++seq, clip: fleet.clip(`s${seq}`, frames) });
          if (kind === 'interrupt') fleet.host.interrupt(seq);
        }
        await fleet.advance(1000);
        expect(fleet.missed).toBe(0);
        expectSame(near, far, fromSamples);
        for (const { ticks, atMs } of far.audio) {
          const other = near.audio.find((packet) => packet.ticks === ticks);
          if (other) expect(Math.abs(atMs - other.atMs)).toBeLessThanOrEqual(2);
        }
      }),
      { numRuns: testSize(60, 8) },
    );
  });

  it('plays the same, whenever it begins to follow and wherever the stream begins', async () => {
    const parts = fc.record({
      lateMs: fc.integer({ min: 0, max: 6000 }),
      kept: fc.integer({ min: 1, max: 100 }),
      frames: fc.array(fc.integer({ min: 1, max: 60 }), { maxLength: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(parts, async ({ lateMs, kept, frames }) => {
        const fleet = new Fleet({ crossfadeSamples: 960 });
        fleet.kept = kept;
        fleet.stopReading();
        const near = fleet.watchHost();
        fleet.follow();
        await fleet.advance(500);
        fleet.speak(frames);
        await fleet.advance(lateMs);
        fleet.beginReading();
        const far = fleet.watchFollower();
        // What is kept has a key entry if it is long enough; otherwise the next one comes within a second.
        await fleet.advance(kept < SECOND ? 1300 : 300);
        const fromSamples = far.packets.at(-1)?.ticks ?? Number.NaN;
        const { missed } = fleet;
        await fleet.advance(1000);
        expect(fleet.missed).toBe(missed);
        expectSame(near, far, fromSamples);
      }),
      { numRuns: testSize(60, 8) },
    );
  });

  it('goes on as the host would while its decisions are missing, and follows again without a step', async () => {
    const parts = fc.record({
      cutAfterMs: fc.integer({ min: 0, max: 1500 }),
      // A stream loses no single entry.
      cutMs: fc.integer({ min: 120, max: 4000 }),
      frames: fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 })),
    });
    await fc.assert(
      fc.asyncProperty(parts, async ({ cutAfterMs, cutMs, frames }) => {
        const { fleet, near, far } = await followed();
        const fromSamples = far.packets.at(-1)?.ticks ?? 0;
        fleet.speak(frames);
        // What is queued is known to the follower.
        await fleet.advance(200 + cutAfterMs);
        fleet.isCut = true;
        await fleet.advance(cutMs);
        fleet.isCut = false;
        await fleet.advance(2000);
        expectSame(near, far, fromSamples);
        expect(far.packets.map(({ ticks }) => ticks)).toEqual(
          far.packets.map((_, i) => (far.packets[0]?.ticks ?? 0) + i * 960),
        );
        const shown = far.video.map(({ ticks }) => ticks);
        expect(shown).toEqual([...shown].sort((a, b) => a - b));
      }),
      { numRuns: testSize(60, 8) },
    );
  });

  it('follows a new host without a step when the old one has died, wherever in the speech', async () => {
    const parts = fc.record({
      deadAfterMs: fc.integer({ min: 0, max: 1500 }),
      awayMs: fc.integer({ min: 100, max: 1500 }),
      first: fc.integer({ min: 20, max: 60 }),
    });
    await fc.assert(
      fc.asyncProperty(parts, async ({ deadAfterMs, awayMs, first }) => {
        const { fleet, near, far } = await followed();
        const fromSamples = far.packets.at(-1)?.ticks ?? 0;
        const queue = [first, 150].map((frames, i) => ({ seq: i + 1, clip: fleet.clip(`s${i + 1}`, frames) }));
        for (const item of queue) fleet.host.enqueue(item);
        await fleet.advance(200 + deadAfterMs);
        // It plays on for comparison.
        fleet.host.follow(undefined);
        const last = fleet.last as Decisions;
        await fleet.advance(awayMs);
        fleet.epoch = 2;
        const next = fleet.newHost(fleet.clip('idle', 60, 'idle'));
        if (last.after) next.resumeAt({ ...last.after, throughSeq: 2 });
        for (const item of queue)
          if (item.seq >= (last.after?.seq ?? 0)) next.enqueue({ seq: item.seq, clip: new OwnClip(item.clip) });
        const timeline = new Timeline(last.anchorMs - REDIS_OFFSET_MS, 0);
        const fromEnd = last.audioSamples + last.opus.length * BLOCK_SAMPLES;
        fleet.follow(next);
        next.start({ timeline, fromSamples: fromEnd });
        await fleet.advance(1000);
        expect(fleet.follower.epoch).toBe(2);
        expectSame(near, far, fromSamples);
      }),
      { numRuns: testSize(60, 8) },
    );
  });

  it('is where its host is when that one may send again, wherever in the speech', async () => {
    const parts = fc.record({
      afterMs: fc.integer({ min: 0, max: 1500 }),
      // Less than the decided time ahead, and more than a stand-in plays.
      suspendedMs: fc.oneof(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 8200, max: 9000 })),
      frames: fc.tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 })),
    });
    await fc.assert(
      fc.asyncProperty(parts, async ({ afterMs, suspendedMs, frames }) => {
        const { fleet, near, far } = await followed();
        fleet.speak(frames);
        await fleet.advance(200 + afterMs);
        fleet.host.suspend();
        await fleet.advance(suspendedMs);
        fleet.host.resume();
        await fleet.advance(100);
        const fromSamples = far.packets.at(-1)?.ticks ?? 0;
        await fleet.advance(2000);
        expectSame(near, far, fromSamples);
        const spoken = far.video.filter(({ frame }) => nameOf(frame) !== idOf('idle'));
        const bytes = spoken.map(({ frame }) => frame.payloads[0]?.toString('hex'));
        // Each frame of speech once, unless the stand-in has gone silent.
        if (suspendedMs < 8000) expect(new Set(bytes).size).toBe(bytes.length);
      }),
      { numRuns: testSize(60, 8) },
    );
  });

  it('shows the last frame in silence when it has no host for longer than any hand-over takes', async () => {
    const fleet = new Fleet();
    const near = fleet.watchHost();
    fleet.follow();
    await fleet.advance(500);
    const far = fleet.watchFollower();
    await fleet.advance(500);
    fleet.isCut = true;
    await fleet.advance(9000);
    expect(far.packets.slice(-20).every(({ opus }) => opus.equals(SILENCE))).toBe(true);
    const shown = far.video.length;
    await fleet.advance(500);
    expect(far.video.length).toBe(shown);
    fleet.isCut = false;
    await fleet.advance(500);
    const backSamples = far.packets.at(-1)?.ticks ?? 0;
    await fleet.advance(2000);
    expectSame(near, far, backSamples);
    // The RTP timeline went on, a packet every 20 ms.
    expect(far.packets.map(({ ticks }) => ticks)).toEqual(
      far.packets.map((_, i) => (far.packets[0]?.ticks ?? 0) + i * 960),
    );
  });

  it('keeps the timeline of its viewers when a new host begins another one', async () => {
    const fleet = new Fleet();
    fleet.watchHost();
    fleet.follow();
    await fleet.advance(1000);
    const far = fleet.watchFollower();
    await fleet.advance(500);
    fleet.host.close({ finish: false });
    await fleet.advance(700);
    fleet.epoch = 2;
    const next = fleet.newHost(fleet.clip('idle', 60, 'idle'));
    const near = fleet.watchHost(next);
    fleet.follow(next);
    await fleet.advance(3000);
    const ticks = far.packets.map((packet) => packet.ticks);
    expect(ticks).toEqual(ticks.map((_, i) => (ticks[0] ?? 0) + i * 960));
    const last = far.packets.at(-1);
    const same = near.packets.findIndex(({ opus }) => last !== undefined && opus.equals(last.opus));
    expect(same).toBeGreaterThan(0);
    // Corrected since, by a fraction of a millisecond at a time.
    expect(Math.abs(fleet.skews.at(-1) ?? Number.NaN)).toBeLessThan(0.3);
  });

  it('corrects a timeline that has drifted, by less than anybody notices', async () => {
    const fleet = new Fleet();
    fleet.watchHost();
    fleet.follow();
    await fleet.advance(500);
    const far = fleet.watchFollower();
    const drifted = REDIS_OFFSET_MS + 2;
    const accept = fleet.follower.accept.bind(fleet.follower);
    fleet.follower.accept = (decisions) => accept(decisions, drifted);
    await fleet.advance(2000);
    expect(Math.max(...fleet.skews.map(Math.abs))).toBeLessThan(2.3);
    expect(Math.abs(fleet.skews.at(-1) ?? Number.NaN)).toBeLessThan(0.3);
    const gaps = far.audio.slice(1).map(({ atMs }, i) => atMs - (far.audio[i]?.atMs ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(22);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(18);
  });

  it('ignores decisions of a host that has lost the session, and skips a segment that it cannot open', async () => {
    const fleet = new Fleet();
    fleet.watchHost();
    fleet.epoch = 2;
    fleet.follow();
    await fleet.advance(500);
    const far = fleet.watchFollower();
    await fleet.advance(200);
    const stale: Decisions = {
      epoch: 1,
      anchorMs: REDIS_OFFSET_MS,
      audioSamples: 960_000,
      frames: [],
      next: [],
      opus: [SILENCE],
    };
    fleet.follower.accept(stale, REDIS_OFFSET_MS);
    expect(fleet.follower.epoch).toBe(2);
    const lost = fleet.clip('lost', 15);
    fleet.segments.delete(lost.segment);
    fleet.host.enqueue({ seq: 1, clip: lost });
    await fleet.advance(1500);
    const names = far.video.map(({ frame }) => nameOf(frame));
    expect(names).not.toContain(lost.segment);
    expect(names.at(-1)).toBe(idOf('idle'));
    expect(fleet.missed).toBe(0);
  });
});
