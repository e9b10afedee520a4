import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { REPAIR_LIMIT_BYTES, RepairBudget } from './repair-budget.js';
import { Retransmitter } from './retransmitter.js';
import { RTP_HEADER_BYTES, RtpStream } from './rtp-stream.js';
import { SrtpSender } from './srtp.js';

const PAYLOAD_BYTES = 1000;
const PACKET_BYTES = PAYLOAD_BYTES + RTP_HEADER_BYTES;

let repeated: Retransmitter;
let original: RtpStream;
let wire: { payloadType: number; sequence: number; timestamp: number; marker: boolean; bytes: number }[];

beforeEach(() => {
  wire = [];
  const memory = Buffer.alloc(2048);
  const writer = {
    memory: () => memory,
    send: (bytes: number) => {
      const second = memory.readUInt8(1);
      wire.push({
        payloadType: second & 0x7f,
        marker: second > 0x7f,
        sequence: memory.readUInt16BE(2),
        timestamp: memory.readUInt32BE(4),
        bytes,
      });
    },
  };
  const srtp = new SrtpSender({ profile: 'AEAD_AES_128_GCM', masterKey: randomBytes(16), masterSalt: randomBytes(12) });
  original = new RtpStream({ ssrc: 1, payloadType: 96, srtp, writer, firstSequence: 65_500 });
  const rtx = new RtpStream({ ssrc: 2, payloadType: 97, srtp, writer, firstSequence: 100 });
  repeated = new Retransmitter(original, rtx, new RepairBudget());
});

/** → their sequence numbers. */
function send(count: number): number[] {
  const sequences = Array.from({ length: count }, (_, i) => {
    const payload = Buffer.alloc(PAYLOAD_BYTES, i);
    const sequence = original.send(payload, i, i % 2 === 1);
    repeated.remember(sequence, payload, i, i % 2 === 1);
    return sequence;
  });
  wire.length = 0;
  return sequences;
}

describe('a lost packet', () => {
  it('is sent again on a stream of its own, with the timestamp and marker it had', () => {
    const sequences = send(100);
    repeated.repeat([sequences[3] ?? 0, sequences[80] ?? 0], 0);
    expect(wire).toEqual([
      { payloadType: 97, sequence: 100, timestamp: 3, marker: true, bytes: PACKET_BYTES + 2 + 16 },
      { payloadType: 97, sequence: 101, timestamp: 80, marker: false, bytes: PACKET_BYTES + 2 + 16 },
    ]);
  });

  it('is sent as it was where the viewer takes no other stream', () => {
    const [sequence = 0] = send(3);
    repeated = new Retransmitter(original, undefined, new RepairBudget());
    repeated.remember(sequence, Buffer.alloc(PAYLOAD_BYTES), 0, false);
    repeated.repeat([sequence], 0);
    expect(wire).toEqual([
      { payloadType: 96, sequence: 65_500, timestamp: 0, marker: false, bytes: PACKET_BYTES + 16 },
    ]);
  });

  it('is not sent again before a round trip has passed', () => {
    const [sequence = 0] = send(1);
    repeated.repeat([sequence, sequence], 0, 50);
    repeated.repeat([sequence], 49, 50);
    expect(wire).toHaveLength(1);
    repeated.repeat([sequence], 50, 50);
    expect(wire).toHaveLength(2);
    expect(repeated.repeated).toBe(2);
  });

  it('is forgotten when it is too old, or was never sent', () => {
    const [oldest = 0, second = 0] = send(1025);
    repeated.repeat([oldest, 30_000], 0);
    expect(wire).toEqual([]);
    repeated.repeat([second], 0);
    expect(wire).toHaveLength(1);
  });

  it('is left alone when a keyframe has been sent since', () => {
    const before = send(50);
    const after = send(30);
    repeated.beginKeyframe(after[0] ?? 0);
    repeated.repeat([...before, ...after], 0);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual(after.map((_, i) => i));
  });

  it('never costs more than a quarter of the media, after a first burst', () => {
    const burst = Math.floor(REPAIR_LIMIT_BYTES / PACKET_BYTES);
    const sequences = send(1000);
    repeated.repeat(sequences, 0);
    expect(wire).toHaveLength(burst);
    const more = send(100);
    repeated.repeat(more, 0);
    expect(wire.length).toBeGreaterThan(20);
    expect(wire.length).toBeLessThanOrEqual(25);
  });
});
