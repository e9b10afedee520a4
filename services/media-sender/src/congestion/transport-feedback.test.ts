import { seededRandom } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { transportFeedback } from '../../testing/network-simulator.js';
import { MAX_FEEDBACK_PACKETS, readTransportFeedback } from './transport-feedback.js';

/** @returns Arrival in ticks by sequence number; `undefined` for a missing packet. */
function read(packet: Buffer): { ok: boolean; reported: [number, number | undefined][] } {
  const reported: [number, number | undefined][] = [];
  const ok = readTransportFeedback(packet, {
    received: (sequence, ticks) => reported.push([sequence, ticks]),
    notReceived: (sequence) => reported.push([sequence, undefined]),
  });
  return { ok, reported };
}

function message(base: number, count: number, reference: number, body: readonly number[]): Buffer {
  const packet = Buffer.alloc(20 + body.length);
  packet.set([0x8f, 205], 0);
  packet.writeUInt16BE(base, 12);
  packet.writeUInt16BE(count, 14);
  packet.writeIntBE(reference, 16, 3);
  packet.set(body, 20);
  return packet;
}

describe('readTransportFeedback()', () => {
  it('reads a run length chunk and its small deltas', () => {
    const { ok, reported } = read(message(65_534, 3, 2, [0x20, 3, 4, 8, 0]));
    expect(ok).toBe(true);
    expect(reported).toEqual([
      [65_534, 516],
      [65_535, 524],
      [0, 524],
    ]);
  });

  it('reads a vector of one-bit symbols and one of two-bit symbols, with a negative delta', () => {
    // 14 symbols of one bit: received, missing, 12 more missing; then two bits: large, small, missing.
    const { ok, reported } = read(message(10, 17, 0, [0xa0, 0x00, 0xe4, 0x00, 1, 0xff, 0xfe, 5]));
    expect(ok).toBe(true);
    expect(reported.filter(([, ticks]) => ticks !== undefined)).toEqual([
      [10, 1],
      [24, -1],
      [25, 4],
    ]);
    expect(reported).toHaveLength(17);
  });

  it('reads back what a receiver wrote, for any pattern of losses and delays', () => {
    const random = seededRandom(7);
    for (let round = 0; round < 200; round++) {
      let arrivalMs = random() * 1e6;
      const packets = Array.from({ length: 1 + Math.floor(random() * 100) }, (_, i) => {
        arrivalMs += random() * 200 - 20;
        return [(65_500 + i) & 0xffff, random() < 0.3 ? undefined : arrivalMs] as const;
      });
      const { ok, reported } = read(transportFeedback(packets));
      expect(ok).toBe(true);
      expect(reported).toEqual(
        packets.map(([sequence, ms]) => [sequence, ms === undefined ? undefined : Math.round(ms * 4)]),
      );
    }
  });

  it('reports nothing from a message that is truncated, empty, too long, or uses the reserved symbol', () => {
    const complete = transportFeedback([
      [1, 10],
      [2, undefined],
      [3, 200],
    ]);
    const damaged = [
      ...Array.from({ length: 24 }, (_, bytes) => complete.subarray(0, bytes)),
      message(1, 0, 0, [0x20, 1, 0]),
      message(1, MAX_FEEDBACK_PACKETS + 1, 0, [0x1f, 0xff]),
      message(1, 1, 0, [0x60, 1, 0]),
      message(1, 1, 0, [0xf0, 0, 0]),
      message(1, 5, 0, [0x20, 0, 0x20, 0]),
    ];
    for (const packet of damaged) expect(read(packet)).toEqual({ ok: false, reported: [] });
  });

  it('never throws and never reports more than the limit for any bytes', () => {
    const random = seededRandom(3);
    for (let round = 0; round < 5000; round++) {
      const packet = Buffer.from(Array.from({ length: Math.floor(random() * 80) }, () => Math.floor(random() * 256)));
      expect(read(packet).reported.length).toBeLessThanOrEqual(MAX_FEEDBACK_PACKETS);
    }
  });
});
