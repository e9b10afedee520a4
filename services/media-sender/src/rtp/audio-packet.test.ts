import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Red } from 'werift';
import { AudioPacket } from './audio-packet.js';
import { MAX_PAYLOAD_BYTES } from './payload-size.js';

const OPUS = 111;
const PACKET_TICKS = 960;

/** @returns The packets of payloads that are sent 20 ms apart. */
function sequenceOf(payloads: readonly Uint8Array[], ticks = 0): AudioPacket[] {
  const packets: AudioPacket[] = [];
  for (const [i, payload] of payloads.entries()) {
    packets.push(new AudioPacket(Buffer.from(payload), ticks + i * PACKET_TICKS, packets.at(-1)));
  }
  return packets;
}

/** @returns The blocks of a RED payload as werift reads them. */
function blocksOf(payload: Buffer | undefined) {
  return Red.deSerialize(payload ?? Buffer.alloc(0)).blocks.map(({ block, blockPT, timestampOffset }) => ({
    opus: Buffer.from(block),
    payloadType: blockPT,
    ageTicks: timestampOffset ?? 0,
  }));
}

describe('AudioPacket.red()', () => {
  it('contains the packet and those before it, the oldest first, as werift reads it', () => {
    const payload = fc.uint8Array({ minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.array(payload, { minLength: 3, maxLength: 5 }), fc.integer({ min: 1, max: 2 }), (all, depth) => {
        const sent = sequenceOf(all, 2 ** 33).at(-1);
        expect(blocksOf(sent?.red(OPUS, depth))).toEqual(
          all.slice(-1 - depth).map((opus, i) => ({
            opus: Buffer.from(opus),
            payloadType: OPUS,
            ageTicks: (depth - i) * PACKET_TICKS,
          })),
        );
      }),
    );
  });

  it('is built once for all viewers with the same payload type for Opus', () => {
    const [, packet] = sequenceOf([Buffer.alloc(80, 1), Buffer.alloc(80, 2)]);
    expect(packet?.red(OPUS, 1)).toBe(packet?.red(OPUS, 1));
    // Only one packet lies before it.
    expect(packet?.red(OPUS, 2)).toBe(packet?.red(OPUS, 1));
    expect(packet?.repeatable(2)).toBe(1);
    expect(blocksOf(packet?.red(109, 1)).map(({ payloadType }) => payloadType)).toEqual([109, 109]);
  });

  it('returns undefined for a first packet and at depth 0', () => {
    const [first, second] = sequenceOf([Buffer.alloc(80), Buffer.alloc(80)]);
    expect(first?.red(OPUS, 2)).toBeUndefined();
    expect(second?.red(OPUS, 0)).toBeUndefined();
  });

  it('leaves out packets older than 14 bits of ticks or longer than 10 bits of bytes', () => {
    const previous = new AudioPacket(Buffer.alloc(1023), 0);
    expect(blocksOf(new AudioPacket(Buffer.alloc(80), 16_383, previous).red(OPUS, 1))[0]?.ageTicks).toBe(16_383);
    expect(new AudioPacket(Buffer.alloc(80), 16_384, previous).red(OPUS, 1)).toBeUndefined();
    const long = new AudioPacket(Buffer.alloc(1024), 0);
    expect(new AudioPacket(Buffer.alloc(80), PACKET_TICKS, long).red(OPUS, 1)).toBeUndefined();
  });

  it('never exceeds the maximum payload size', () => {
    const packets = sequenceOf([Buffer.alloc(400), Buffer.alloc(400), Buffer.alloc(400)]);
    const payload = packets.at(-1)?.red(OPUS, 2);
    expect(blocksOf(payload)).toHaveLength(2);
    expect(payload?.length).toBeLessThanOrEqual(MAX_PAYLOAD_BYTES);
  });
});
