import { Encoder } from '@evan/opus';
import { FuzzRandom, fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { AudioPacket } from '../rtp/audio-packet.js';
import { AudioReceiver, type HeardFrame } from './audio-receiver.js';

const OPUS = 111;
const RED = 63;
const SSRC = 77;

interface Sent {
  readonly sequence: number;
  readonly ticks: number;
  readonly opus: Buffer;
  readonly red: Buffer | undefined;
}

/** @returns Opus of a tone that is on for half of each second. */
function stream(count: number, firstSequence = 65_500, firstTicks = 2 ** 32 - 30_000): Sent[] {
  const encoder = new Encoder({ sample_rate: 48_000, channels: 1, application: 'voip' });
  let previous: AudioPacket | undefined;
  return Array.from({ length: count }, (_, i) => {
    const isOn = i % 50 >= 25;
    const pcm = Int16Array.from({ length: 960 }, (_, k) => (isOn ? 8000 * Math.sin((960 * i + k) / 25) : 0));
    const opus = Buffer.from(encoder.encode(pcm));
    previous = new AudioPacket(opus, 960 * i, previous);
    const sequence = (firstSequence + i) % 65_536;
    return { sequence, ticks: (firstTicks + 960 * i) % 2 ** 32, opus, red: previous.red(OPUS, 2) };
  });
}

class Scene {
  readonly frames: (Omit<HeardFrame, 'pcm'> & { level: number })[] = [];
  readonly asked: number[] = [];
  readonly receiver: AudioReceiver;

  constructor(canRepeat = false) {
    this.receiver = new AudioReceiver({
      payloadType: OPUS,
      redPayloadType: RED,
      canRepeat,
      onFrame: ({ pcm, ...frame }) => {
        this.frames.push({ ...frame, level: Math.sqrt(pcm.reduce((sum, s) => sum + s * s, 0) / pcm.length) });
      },
      onMissing: (_, sequences) => this.asked.push(...sequences),
    });
  }

  receive({ sequence, ticks, opus }: Sent, nowMs: number, payload = opus): void {
    const payloadType = payload === opus ? OPUS : RED;
    const header = { payloadType, sequence, timestamp: ticks, ssrc: SSRC, bytes: 12, isPadded: false };
    this.receiver.receive(header, payload, nowMs, 40);
  }
}

describe('AudioReceiver', () => {
  it('passes on 20 ms for each packet at once, across the wraps, stamped with when it was spoken', () => {
    const scene = new Scene();
    stream(60).forEach((packet, i) => {
      scene.receive(packet, 1000 + 20 * i + (i % 3) * 5);
      expect(scene.frames).toHaveLength(i + 1);
    });
    scene.frames.forEach(({ atMs, gapMs, concealed }, i) => {
      expect(atMs).toBeCloseTo(980 + 20 * i);
      expect([gapMs, concealed]).toEqual([0, false]);
    });
    expect(scene.frames.slice(10, 20).every(({ level }) => level < 300)).toBe(true);
    expect(scene.frames.slice(30, 40).every(({ level }) => level > 3000)).toBe(true);
  });

  it('repairs losses of two packets in a row from redundancy, without concealment', () => {
    const scene = new Scene();
    stream(40).forEach((packet, i) => {
      if (i % 5 !== 2 && i % 5 !== 3) scene.receive(packet, 20 * i, packet.red);
    });
    expect(scene.frames).toHaveLength(40);
    expect(scene.frames.some(({ concealed }) => concealed)).toBe(false);
    expect(scene.receiver.stats).toMatchObject({ lost: 0, repaired: 16 });
  });

  it('asks for missing packets, and takes them when they come', () => {
    const scene = new Scene(true);
    const packets = stream(10);
    packets.forEach((packet, i) => {
      if (i !== 4) scene.receive(packet, 20 * i);
      if (i === 6) scene.receive(packets[4] as Sent, 20 * i + 5);
    });
    expect(scene.asked).toEqual([65_504]);
    expect(scene.frames).toHaveLength(10);
    expect(scene.receiver.stats).toMatchObject({ lost: 0, concealedMs: 0 });
  });

  it('conceals what never comes, and keeps the timing', () => {
    const scene = new Scene();
    stream(40).forEach((packet, i) => {
      if (i < 30 || i > 32) scene.receive(packet, 20 * i);
    });
    scene.receiver.poll(1000, 40);
    expect(scene.frames).toHaveLength(40);
    expect(scene.frames.map(({ concealed }) => concealed).indexOf(true)).toBe(30);
    expect(scene.receiver.stats).toMatchObject({ lost: 3, concealedMs: 60 });
    expect(scene.frames[31]?.level).toBeGreaterThan(1000);
    expect(scene.frames[39]?.atMs).toBeCloseTo(20 * 39 - 20);
  });

  it('marks a long pause as a gap, and fills a short one', () => {
    const scene = new Scene();
    const packets = stream(10);
    packets.slice(0, 5).forEach((packet, i) => {
      scene.receive(packet, 20 * i);
    });
    const later = (by: number) => (packet: Sent, i: number) =>
      scene.receive({ ...packet, ticks: (packet.ticks + 48 * by) % 2 ** 32 }, 100 + by + 20 * i);
    packets.slice(5, 7).forEach(later(400));
    expect(scene.frames).toHaveLength(5 + 20 + 2);
    packets.slice(7).forEach((packet, i) => {
      later(10_400)(packet, i + 2);
    });
    expect(scene.frames).toHaveLength(5 + 20 + 2 + 3);
    expect(scene.frames.map(({ gapMs }) => gapMs).filter((gapMs) => gapMs > 0)).toEqual([10_000]);
    expect(scene.frames.at(-1)?.atMs).toBeCloseTo(10_400 + 20 * 9 - 20);
  });

  it('loses no time under random loss, reordering and duplication', () => {
    const random = new FuzzRandom(3);
    const scene = new Scene(true);
    const arrivals: { packet: Sent; atMs: number }[] = [];
    stream(1000).forEach((packet, i) => {
      if (i > 0 && i < 999 && random.chance(0.08)) return;
      arrivals.push({ packet, atMs: 20 * i + random.below(60) });
      if (random.chance(0.05)) arrivals.push({ packet, atMs: 20 * i + random.below(200) });
    });
    arrivals.sort((a, b) => a.atMs - b.atMs);
    for (const { packet, atMs } of arrivals) scene.receive(packet, atMs);
    scene.receiver.poll(30_000, 40);
    scene.receiver.poll(31_000, 40);
    const gapMs = scene.frames.reduce((sum, frame) => sum + frame.gapMs, 0);
    expect(20 * scene.frames.length + gapMs).toBeGreaterThanOrEqual(20 * 998);
    expect(20 * scene.frames.length + gapMs).toBeLessThanOrEqual(20 * 1001);
    expect(scene.receiver.stats.lost).toBeGreaterThan(20);
  });

  it('states loss and jitter as RFC 3550 does', () => {
    const scene = new Scene();
    stream(200).forEach((packet, i) => {
      if (i % 4 !== 3) scene.receive(packet, 20 * i + (i % 2) * 10);
    });
    scene.receiver.reception?.reported(0x1234_5678, 4000);
    const report = scene.receiver.reception?.report(4500);
    expect(report).toMatchObject({
      ssrc: SSRC,
      packetsLost: 49,
      lastReport: 0x1234_5678,
      delaySinceLastReport: 32_768,
    });
    expect(report?.fractionLost).toBe(Math.floor((49 * 256) / 199));
    expect((report?.highestSequence ?? 0) % 65_536).toBe((65_500 + 198) % 65_536);
    // Transits alternate by 10 ms; between two received packets in a row.
    expect(report?.jitterTicks).toBeGreaterThan(200);
    expect(report?.jitterTicks).toBeLessThan(480);
    expect(scene.receiver.reception?.report(4500)).toMatchObject({ fractionLost: 0 });
  });

  it('survives any payload, and emits no more than it holds', { timeout: fuzzTimeoutMs() }, async () => {
    const corpus = stream(5).flatMap(({ opus, red }) => [opus, red ?? opus]);
    const scene = new Scene(true);
    let nowMs = 0;
    const { runs } = await fuzz({ corpus, seconds: 2, maxBytes: 1400 }, (input, random) => {
      nowMs += random.below(40);
      const header = {
        payloadType: random.chance(0.5) ? OPUS : RED,
        sequence: random.below(65_536),
        timestamp: random.below(2 ** 32),
        ssrc: SSRC,
        bytes: 12,
        isPadded: false,
      };
      const before = scene.frames.length;
      scene.receiver.receive(header, input, nowMs, random.below(2000));
      // 120 ms of what is waiting, 500 ms of fill before each.
      expect(scene.frames.length - before).toBeLessThan(34 * 31);
      scene.frames.length = 0;
    });
    expect(runs).toBeGreaterThan(100);
  });
});
