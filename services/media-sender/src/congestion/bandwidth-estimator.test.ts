import { halfNormal } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import {
  Link,
  type LinkOptions,
  type SenderOptions,
  SimulatedSender,
  simulate,
  TcpFlow,
  transportFeedback,
} from '../../testing/network-simulator.js';
import { BandwidthEstimator, MAX_BPS, MIN_BPS, START_BPS } from './bandwidth-estimator.js';
import { PROBE_LIMIT_BYTES, PROBE_SHARE } from './prober.js';

const MBPS = 1e6;
/** Bitrate of a ladder of three renditions, including audio and headers. */
const ladder = (targetBps: number) => (targetBps > 1.7 * MBPS ? 1_550_000 : targetBps > 600_000 ? 540_000 : 190_000);
const LADDER: SenderOptions = { mediaBps: ladder, wantedBps: 1.8 * MBPS };

function setUp(link: LinkOptions, sender: SenderOptions = {}) {
  const path = new Link(link);
  return { link: path, sender: new SimulatedSender(path, sender) };
}

/** @returns The estimate every 100 ms, bits per second. */
function estimates(sender: SimulatedSender, fromMs: number, untilMs: number): number[] {
  const list: number[] = [];
  simulate([sender], fromMs, untilMs, (nowMs) => {
    if (nowMs % 100 === 0) list.push(sender.estimator.targetBps(nowMs));
  });
  return list;
}

const mean = (list: readonly number[]) => list.reduce((sum, value) => sum + value, 0) / list.length;

describe('BandwidthEstimator over a bottleneck', () => {
  it.each([0.5, 1, 2, 5])('stays within 60 and 105 % of a link of %s Mb/s from the fifth second on', (mbps) => {
    const { sender } = setUp({ rateBps: () => mbps * MBPS });
    simulate([sender], 0, 5000);
    const list = estimates(sender, 5000, 40_000);
    expect(Math.min(...list)).toBeGreaterThan(0.6 * mbps * MBPS);
    expect(Math.max(...list)).toBeLessThan(1.05 * mbps * MBPS);
  });

  it("reaches the largest rendition's rate within 3 s on a good path, although little is sent", () => {
    const { sender } = setUp({ rateBps: () => 5 * MBPS }, LADDER);
    simulate([sender], 0, 3000);
    expect(sender.estimator.targetBps(3000)).toBeGreaterThan(1.7 * MBPS);
  });

  it('falls below a link that drops from 5 to 0.5 Mb/s within 700 ms, and recovers within 3 s of its return', () => {
    const { sender } = setUp({ rateBps: (ms) => (ms < 10_000 || ms >= 30_000 ? 5 : 0.5) * MBPS }, LADDER);
    simulate([sender], 0, 10_700);
    const narrow = estimates(sender, 10_700, 30_000);
    expect(Math.max(...narrow)).toBeLessThan(0.55 * MBPS);
    expect(Math.min(...narrow)).toBeGreaterThan(0.19 * MBPS);
    simulate([sender], 30_000, 33_000);
    expect(sender.estimator.targetBps(33_000)).toBeGreaterThan(1.7 * MBPS);
  });

  it('drains the queue within 2 s of a drop, and keeps it short', () => {
    const { link, sender } = setUp({ rateBps: (ms) => (ms < 10_000 ? 5 : 0.5) * MBPS }, LADDER);
    simulate([sender], 0, 12_000);
    link.longestQueueMs = 0;
    simulate([sender], 12_000, 30_000);
    expect(link.longestQueueMs).toBeLessThan(100);
  });

  it('exceeds a link that changes every few seconds for less than 1 s', () => {
    const rates = [5, 1, 3, 0.6, 2, 0.3, 4];
    const rateBps = (ms: number) => (rates[Math.floor(ms / 6000) % rates.length] ?? 1) * MBPS;
    const { sender } = setUp({ rateBps });
    let aboveMs = 0;
    let longestMs = 0;
    simulate([sender], 0, 84_000, (nowMs) => {
      const isAbove = sender.estimator.targetBps(nowMs) > 1.05 * rateBps(nowMs);
      aboveMs = isAbove ? aboveMs + 1 : 0;
      // The initial estimate is a guess.
      if (nowMs > 2000) longestMs = Math.max(longestMs, aboveMs);
    });
    expect(longestMs).toBeLessThan(1000);
  });

  it('keeps its rate at 10 % random loss', () => {
    const { sender } = setUp({ rateBps: () => 5 * MBPS, loss: 0.1 }, LADDER);
    simulate([sender], 0, 4000);
    expect(Math.min(...estimates(sender, 4000, 60_000))).toBeGreaterThan(1.55 * MBPS);
  });

  it('finds the capacity of a link from its losses if the queue is too short to be noticed', () => {
    const { sender } = setUp({ rateBps: () => MBPS, queueMs: 25 });
    simulate([sender], 0, 5000);
    const list = estimates(sender, 5000, 30_000);
    expect(mean(list)).toBeGreaterThan(0.5 * MBPS);
    expect(mean(list)).toBeLessThan(1.05 * MBPS);
    const packets = (30 * 0.8 * MBPS) / 8 / 1000;
    expect(sender.lost).toBeLessThan(0.06 * packets);
  });

  it('uses most of a link with active queue management', () => {
    const { link, sender } = setUp({ rateBps: () => 2 * MBPS, codel: true });
    simulate([sender], 0, 5000);
    link.longestQueueMs = 0;
    expect(mean(estimates(sender, 5000, 30_000))).toBeGreaterThan(1.3 * MBPS);
    expect(link.longestQueueMs).toBeLessThan(100);
  });

  it('keeps the largest rendition over a radio link that delays packets', () => {
    const jitterMs = (random: () => number) => (random() < 0.05 ? random() * 60 : random() * 8);
    const { sender } = setUp({ rateBps: () => 5 * MBPS, jitterMs }, LADDER);
    simulate([sender], 0, 4000);
    expect(Math.min(...estimates(sender, 4000, 60_000))).toBeGreaterThan(1.55 * MBPS);
  });

  const wild = (deviationMs: number) => (random: () => number) => halfNormal(random) * deviationMs;

  it.each([
    [20, 1],
    [20, 2],
    [30, 1],
    [30, 2],
    [30, 3],
  ])("exceeds the largest rendition's rate 90 %% of the time with %i ms of jitter (seed %i)", (deviationMs, seed) => {
    const { sender } = setUp({ rateBps: () => 20 * MBPS, jitterMs: wild(deviationMs), seed }, LADDER);
    simulate([sender], 0, 5000);
    const list = estimates(sender, 5000, 65_000);
    expect(list.filter((bps) => bps > 1.7 * MBPS).length).toBeGreaterThan(0.9 * list.length);
    expect(Math.min(...list)).toBeGreaterThan(0.6 * MBPS);
  });

  it('falls below a link that drops from 5 to 0.5 Mb/s within 1.5 s with 20 ms of jitter', () => {
    const link = { rateBps: (ms: number) => (ms < 10_000 ? 5 : 0.5) * MBPS, jitterMs: wild(20) };
    const { sender } = setUp(link, LADDER);
    simulate([sender], 0, 11_500);
    expect(Math.max(...estimates(sender, 11_500, 30_000))).toBeLessThan(0.6 * MBPS);
  });

  it('keeps its rate when feedback arrives in bunches', () => {
    const { sender } = setUp({ rateBps: () => 3 * MBPS }, { feedbackGridMs: 250 });
    simulate([sender], 0, 5000);
    const list = estimates(sender, 5000, 40_000);
    expect(Math.min(...list)).toBeGreaterThan(1.5 * MBPS);
    expect(Math.max(...list)).toBeLessThan(3.15 * MBPS);
  });

  it('keeps enough for video beside a TCP download that fills the queue', () => {
    const { link, sender } = setUp({ rateBps: () => 3 * MBPS });
    const download = new TcpFlow(link);
    simulate([sender, download], 0, 10_000);
    const list: number[] = [];
    simulate([sender, download], 10_000, 60_000, (nowMs) => list.push(sender.estimator.targetBps(nowMs)));
    expect(mean(list)).toBeGreaterThan(0.4 * MBPS);
    expect(Math.min(...list)).toBeGreaterThan(0.19 * MBPS);
  });

  it('shares a link with another viewer: neither gets less than a fifth', () => {
    const link = new Link({ rateBps: () => 2.5 * MBPS });
    const senders = [new SimulatedSender(link), new SimulatedSender(link)];
    const sums = [0, 0];
    simulate(senders, 0, 60_000, (nowMs) => {
      if (nowMs < 10_000) return;
      senders.forEach(({ estimator }, i) => {
        sums[i] = (sums[i] ?? 0) + estimator.targetBps(nowMs) / 50_000;
      });
    });
    const [one = 0, other = 0] = sums;
    expect(Math.min(one, other)).toBeGreaterThan(0.2 * 2.5 * MBPS);
    expect(one + other).toBeLessThan(1.05 * 2.5 * MBPS);
  });

  it('recovers at once from an outage of 2 s', () => {
    const lost = (ms: number) => ms >= 10_000 && ms < 12_000;
    const open = new Link({ rateBps: () => 5 * MBPS });
    const sender = new SimulatedSender(open, LADDER);
    const send = open.send.bind(open);
    open.send = (bytes, nowMs) => (lost(nowMs) ? undefined : send(bytes, nowMs));
    simulate([sender], 0, 11_000);
    expect(sender.estimator.isSilent(11_000)).toBe(true);
    simulate([sender], 11_000, 12_700);
    expect(sender.estimator.isSilent(12_700)).toBe(false);
    expect(sender.estimator.targetBps(12_700)).toBeGreaterThan(1.5 * MBPS);
  });

  /** @returns The times at which padding is sent while the path is dead, from 1 s to 3 s. */
  function paddingOnDeadPath(isAudioNumbered: boolean): number[] {
    const estimator = new BandwidthEstimator();
    const paddedAtMs: number[] = [];
    for (let nowMs = 0; nowMs < 4000; nowMs += 20) {
      estimator.poll(nowMs);
      const sequences = isAudioNumbered ? [estimator.packetSent(100, false, nowMs)] : [];
      const isSilent = estimator.isSilent(nowMs);
      const isPadded = isSilent && estimator.wantsPadding;
      if (isPadded) paddedAtMs.push(nowMs);
      if (isPadded || !isSilent) sequences.push(estimator.packetSent(1000, isPadded, nowMs));
      const isDead = nowMs >= 1000 && nowMs < 3000;
      const arrivals = isDead ? [] : sequences.map((sequence) => [sequence, nowMs + 10] as const);
      if (arrivals.length > 0) estimator.transportFeedback(transportFeedback(arrivals), nowMs + 15);
    }
    expect(estimator.isSilent(4000)).toBe(false);
    return paddedAtMs;
  }

  it('requests padding every 200 ms on a dead path, until it is alive again, if audio carries no numbers', () => {
    expect(paddingOnDeadPath(false)).toEqual([2000, 2200, 2400, 2600, 2800, 3000]);
  });

  it('requests no padding on a dead path if audio carries numbers', () => {
    expect(paddingOnDeadPath(true)).toEqual([]);
  });

  it('limits padding of probes to its share', () => {
    for (const mbps of [0.25, 0.5, 1, 5]) {
      const { sender } = setUp({ rateBps: () => mbps * MBPS, loss: 0.02 }, LADDER);
      simulate([sender], 0, 60_000);
      const { sentBytes, paddingBytes } = sender;
      expect(paddingBytes).toBeLessThanOrEqual(PROBE_LIMIT_BYTES + 2000 + PROBE_SHARE * (sentBytes - paddingBytes));
    }
  });
});

describe('BandwidthEstimator with invalid feedback', () => {
  function sending(packets: number): BandwidthEstimator {
    const estimator = new BandwidthEstimator();
    for (let i = 0; i < packets; i++) estimator.packetSent(1000, false, i * 5);
    return estimator;
  }

  it('counts and ignores acknowledgments of packets that were never sent', () => {
    const estimator = sending(10);
    for (let i = 0; i < 100; i++) {
      estimator.transportFeedback(transportFeedback([[(20_000 + i) & 0xffff, i * 10]]), 100 + i * 20);
    }
    expect(estimator.rejected).toBe(100);
    expect(estimator.targetBps(3000)).toBe(START_BPS);
    expect(estimator.source).toBe('receiver-reports');
  });

  it('counts a packet once, however often it is acknowledged', () => {
    const once = sending(100);
    const often = sending(100);
    const packet = transportFeedback(Array.from({ length: 100 }, (_, i) => [i, 50 + i * 5] as const));
    once.transportFeedback(packet, 600);
    for (let i = 0; i < 1000; i++) often.transportFeedback(packet, 600);
    expect(often.targetBps(600)).toBe(once.targetBps(600));
  });

  it('learns the loss of a packet that is sent again unchanged, and nothing from its arrival time', () => {
    const estimator = new BandwidthEstimator();
    for (let i = 0; i < 60; i++) {
      const sequence = estimator.packetSent(100, false, i * 20);
      if (i === 30) estimator.packetRepeated(sequence, 100, i * 20 + 10);
      estimator.transportFeedback(transportFeedback([[sequence, i * 20 + 30]]), i * 20 + 50);
    }
    expect(estimator.rejected).toBe(0);
    expect(estimator.recentLossRate).toBeGreaterThan(0);
    expect(estimator.recentLossRate).toBeLessThan(0.05);
  });

  it('stays within its bounds for arrival times that go back, jump, or precede sending', () => {
    for (const arrival of [(i: number) => 1e6 - i * 40, (i: number) => (i % 2) * 1e6, (i: number) => -8000 + i]) {
      const estimator = new BandwidthEstimator();
      estimator.want(5 * MBPS);
      for (let i = 0; i < 2000; i++) {
        const nowMs = i * 5;
        estimator.poll(nowMs);
        const sequence = estimator.packetSent(1000, false, nowMs);
        estimator.transportFeedback(transportFeedback([[sequence, arrival(i)]]), nowMs + 1);
        const targetBps = estimator.targetBps(nowMs);
        expect(targetBps >= MIN_BPS && targetBps <= MAX_BPS).toBe(true);
      }
    }
  });

  it('counts damaged messages', () => {
    const estimator = sending(10);
    estimator.transportFeedback(Buffer.alloc(8), 100);
    estimator.transportFeedback(Buffer.alloc(40), 100);
    expect(estimator.rejected).toBe(2);
  });
});

describe('BandwidthEstimator with REMB', () => {
  it('uses the REMB as the estimate without transport-wide feedback, within its bounds, until it expires', () => {
    const estimator = new BandwidthEstimator();
    estimator.remb(900_000, 0);
    expect(estimator.source).toBe('remb');
    expect(estimator.targetBps(1000)).toBe(900_000);
    estimator.remb(0, 1000);
    expect(estimator.targetBps(1000)).toBe(MIN_BPS);
    estimator.remb(10e9, 2000);
    expect(estimator.targetBps(2000)).toBe(MAX_BPS);
    expect(estimator.targetBps(60_000)).toBe(START_BPS);
  });

  it('uses the REMB only as a limit with transport-wide feedback', () => {
    const { sender } = setUp({ rateBps: () => 5 * MBPS });
    simulate([sender], 0, 5000);
    sender.estimator.remb(400_000, 5000);
    expect(sender.estimator.source).toBe('transport-cc');
    expect(sender.estimator.targetBps(5000)).toBe(400_000);
    sender.estimator.remb(10e9, 5000);
    expect(sender.estimator.targetBps(5000)).toBeGreaterThan(2 * MBPS);
  });
});

describe('BandwidthEstimator with receiver reports alone', () => {
  /** Sends at a constant rate, with a report each second. */
  function report(bps: number, seconds: number, fractionLost: number, roundTripMs: number): BandwidthEstimator {
    const estimator = new BandwidthEstimator();
    for (let ms = 0; ms < seconds * 1000; ms += 10) {
      estimator.packetSent(bps / 800, false, ms);
      if (ms % 1000 === 0) estimator.receiverReport(fractionLost, ms < 2000 ? 50 : roundTripMs, ms);
    }
    return estimator;
  }

  it('raises the rate without loss, to a few times the sent rate', () => {
    const estimator = report(0.5 * MBPS, 30, 0, 50);
    expect(estimator.targetBps(30_000)).toBeGreaterThan(1.8 * MBPS);
    expect(estimator.targetBps(30_000)).toBeLessThan(2.5 * MBPS);
    expect(estimator.isConstrained).toBe(false);
  });

  it('lowers the rate at high loss or a longer round trip, but not below the minimum', () => {
    expect(report(MBPS, 4, 0.3, 50).targetBps(4000)).toBeLessThan(0.5 * START_BPS);
    expect(report(MBPS, 6, 0, 400).targetBps(6000)).toBeLessThan(0.7 * START_BPS);
    expect(report(MBPS, 60, 1, 50).targetBps(60_000)).toBe(MIN_BPS);
  });
});
