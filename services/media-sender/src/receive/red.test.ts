import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { AudioPacket } from '../rtp/audio-packet.js';
import { unpackRed } from './red.js';

const OPUS = 111;

function redOf(lengths: readonly number[]): Buffer {
  let packet: AudioPacket | undefined;
  lengths.forEach((length, i) => {
    packet = new AudioPacket(Buffer.alloc(length, i + 1), 960 * i, packet);
  });
  return packet?.red(OPUS, 2) ?? Buffer.alloc(0);
}

describe('unpackRed()', () => {
  it('unpacks the blocks with their age, oldest first', () => {
    expect(unpackRed(redOf([3, 4, 5]), OPUS)).toEqual([
      { data: Buffer.alloc(3, 1), ageTicks: 1920, agePackets: 2 },
      { data: Buffer.alloc(4, 2), ageTicks: 960, agePackets: 1 },
      { data: Buffer.alloc(5, 3), ageTicks: 0, agePackets: 0 },
    ]);
    expect(unpackRed(Buffer.from([OPUS, 7, 8]), OPUS)).toEqual([
      { data: Buffer.from([7, 8]), ageTicks: 0, agePackets: 0 },
    ]);
  });

  it('leaves out redundant blocks of another payload type, and rejects a primary block of one', () => {
    const mixed = redOf([3, 4]);
    mixed[0] = 0x80 | 13;
    expect(unpackRed(mixed, OPUS)).toEqual([{ data: Buffer.alloc(4, 2), ageTicks: 0, agePackets: 0 }]);
    expect(unpackRed(redOf([3, 4]), 13)).toBeUndefined();
  });

  it('returns blocks within the payload, or undefined', { timeout: fuzzTimeoutMs() }, async () => {
    const { runs } = await fuzz({ corpus: [redOf([3, 4, 5]), redOf([200, 300])], seconds: 1 }, (input) => {
      const blocks = unpackRed(input, OPUS);
      const bytes = blocks?.reduce((sum, { data }) => sum + data.length, 0) ?? 0;
      expect(bytes).toBeLessThanOrEqual(input.length);
      expect(blocks?.length ?? 1).toBeLessThanOrEqual(9);
    });
    expect(runs).toBeGreaterThan(100);
  });
});
