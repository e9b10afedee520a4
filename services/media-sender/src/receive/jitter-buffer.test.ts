import { FuzzRandom } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { type BufferedPacket, JitterBuffer } from './jitter-buffer.js';

const OPUS = Buffer.alloc(1);
const packet = (sequence: number, ticks = 960 * sequence): BufferedPacket => ({
  sequence,
  ticks,
  durationTicks: 960,
  opus: OPUS,
});

/** @returns the sequence numbers whose turn it is, each with what is missing before it if anything is. */
function turns(buffer: JitterBuffer, nowMs: number, waitMs = 0): (number | string)[] {
  const taken: (number | string)[] = [];
  for (;;) {
    const next = buffer.take(nowMs, waitMs);
    if (!next) return taken;
    const { missingPackets, missingTicks } = next;
    taken.push(missingTicks === 0 ? next.packet.sequence : `${missingPackets}/${missingTicks}>${next.packet.sequence}`);
  }
}

describe('JitterBuffer', () => {
  it('passes packets in order at once', () => {
    const buffer = new JitterBuffer();
    for (const sequence of [10, 11, 12]) {
      buffer.put(packet(sequence), 0);
      expect(turns(buffer, 0)).toEqual([sequence]);
    }
  });

  it('waits for a missing packet, and goes on without it once it is overdue', () => {
    const buffer = new JitterBuffer();
    buffer.put(packet(10), 0);
    expect(turns(buffer, 0)).toEqual([10]);
    buffer.put(packet(12), 20);
    buffer.put(packet(13), 40);
    expect(buffer.missing(5)).toEqual([11]);
    expect(turns(buffer, 79, 60)).toEqual([]);
    expect(turns(buffer, 80, 60)).toEqual(['1/960>12', 13]);
    expect(buffer.put(packet(11), 81)).toBe(false);
    expect(buffer.missing(5)).toEqual([]);
  });

  it('passes everything as soon as the missing packet comes', () => {
    const buffer = new JitterBuffer();
    buffer.put(packet(10), 0);
    turns(buffer, 0);
    buffer.put(packet(13), 1);
    buffer.put(packet(12), 2);
    expect(turns(buffer, 2)).toEqual([]);
    expect(buffer.put(packet(11), 3)).toBe(true);
    expect(turns(buffer, 3)).toEqual([11, 12, 13]);
  });

  it('does not wait when the sender has paused', () => {
    const buffer = new JitterBuffer();
    buffer.put(packet(10), 0);
    turns(buffer, 0);
    buffer.put(packet(11, 960 * 31), 400);
    expect(turns(buffer, 400)).toEqual([`0/${960 * 20}>11`]);
  });

  it('passes each packet at most once and in order under loss, reordering and duplication, and keeps few', () => {
    const random = new FuzzRandom(7);
    const buffer = new JitterBuffer();
    const taken: number[] = [];
    const arrivals: { sequence: number; atMs: number }[] = [];
    for (let sequence = 1; sequence < 3000; sequence++) {
      if (random.chance(0.1)) continue;
      const atMs = 20 * sequence + random.below(80);
      arrivals.push({ sequence, atMs });
      if (random.chance(0.05)) arrivals.push({ sequence, atMs: atMs + random.below(300) });
    }
    arrivals.sort((a, b) => a.atMs - b.atMs);
    let missing = 0;
    for (const { sequence, atMs } of arrivals) {
      buffer.put(packet(sequence), atMs);
      for (let next = buffer.take(atMs, 100); next; next = buffer.take(atMs, 100)) {
        taken.push(next.packet.sequence);
        missing += next.missingPackets;
      }
      expect(buffer.missing(1000).length).toBeLessThan(40);
    }
    expect(taken).toEqual([...new Set(taken)].sort((a, b) => a - b));
    const sent = new Set(arrivals.map(({ sequence }) => sequence)).size;
    expect(taken.length).toBeGreaterThan(0.99 * sent);
    expect(taken.length + missing).toBe((taken.at(-1) ?? 0) - (taken[0] ?? 0) + 1);
  });
});
