import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { recordingWriter } from '../../testing/recording-writer.js';
import { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import type { PacketFate } from '../congestion/send-history.js';
import { CongestionExtension } from './congestion-extension.js';
import { NO_PICTURE_ID } from './packet-history.js';
import type { PacketWriter } from './packet-writer.js';
import { AUDIO_REPAIR_LIMIT_BYTES, AUDIO_REPAIR_SHARE, REPAIR_LIMIT_BYTES, RepairBudget } from './repair-budget.js';
import { Retransmitter, VIDEO_HISTORY_PACKETS } from './retransmitter.js';
import { RTP_HEADER_BYTES, RtpStream } from './rtp-stream.js';
import { SrtpSender } from './srtp.js';
import { PICTURE_ID_MASK } from './vp8-packetizer.js';

const PAYLOAD_BYTES = 1000;
const PACKET_BYTES = PAYLOAD_BYTES + RTP_HEADER_BYTES;

let repeated: Retransmitter;
let original: RtpStream;
let srtp: SrtpSender;
let writer: PacketWriter;
let wire: { payloadType: number; sequence: number; timestamp: number; marker: boolean; bytes: number }[];

beforeEach(() => {
  wire = [];
  writer = recordingWriter((packet) => {
    const second = packet.readUInt8(1);
    wire.push({
      payloadType: second & 0x7f,
      marker: second > 0x7f,
      sequence: packet.readUInt16BE(2),
      timestamp: packet.readUInt32BE(4),
      bytes: packet.length,
    });
  });
  srtp = new SrtpSender({ profile: 'AEAD_AES_128_GCM', masterKey: randomBytes(16), masterSalt: randomBytes(12) });
  original = new RtpStream({ ssrc: 1, payloadType: 96, srtp, writer, firstSequence: 65_500 });
  const rtx = new RtpStream({ ssrc: 2, payloadType: 97, srtp, writer, firstSequence: 100 });
  repeated = retransmitterOf(rtx);
});

function retransmitterOf(rtx: RtpStream | undefined, budget = new RepairBudget(), maxAgeTicks?: number) {
  return new Retransmitter({
    original,
    rtx,
    budget,
    historyPackets: VIDEO_HISTORY_PACKETS,
    ...(maxAgeTicks !== undefined && { maxAgeTicks }),
  });
}

/** @returns The sequence numbers of the packets it has sent. */
function send(count: number): number[] {
  const sequences = Array.from({ length: count }, (_, i) => {
    const payload = Buffer.alloc(PAYLOAD_BYTES, i);
    return repeated.send(payload, i, i % 2 === 1);
  });
  wire.length = 0;
  return sequences;
}

describe('a lost packet', () => {
  it('is sent again on a stream of its own, with its timestamp and marker', () => {
    const sequences = send(100);
    repeated.repeat([sequences[3] ?? 0, sequences[80] ?? 0], 0);
    expect(wire).toEqual([
      { payloadType: 97, sequence: 100, timestamp: 3, marker: true, bytes: PACKET_BYTES + 2 + 16 },
      { payloadType: 97, sequence: 101, timestamp: 80, marker: false, bytes: PACKET_BYTES + 2 + 16 },
    ]);
  });

  it('is sent again unchanged if the viewer accepts no retransmission stream', () => {
    repeated = retransmitterOf(undefined);
    const [sequence = 0] = send(3);
    repeated.repeat([sequence], 0);
    expect(wire).toEqual([
      { payloadType: 96, sequence: 65_500, timestamp: 0, marker: false, bytes: PACKET_BYTES + 16 },
    ]);
  });

  it('is not sent again before a round trip has passed', () => {
    const [sequence = 0] = send(1);
    repeated.repeat([sequence, sequence], 0, 50);
    repeated.repeat([sequence], 44, 50);
    expect(wire).toHaveLength(1);
    repeated.repeat([sequence], 50, 50);
    expect(wire).toHaveLength(2);
    expect(repeated.repeated).toBe(2);
  });

  it('is ignored if it is no longer remembered or was never sent', () => {
    const [oldest = 0, second = 0] = send(1025);
    repeated.repeat([oldest, 30_000], 0);
    expect(wire).toEqual([]);
    repeated.repeat([second], 0);
    expect(wire).toHaveLength(1);
  });

  it('is sent again with its payload type', () => {
    repeated = retransmitterOf(undefined);
    const sequence = repeated.send(Buffer.alloc(80), 0, false, NO_PICTURE_ID, 63);
    repeated.repeat([sequence], 0);
    expect(wire.map(({ payloadType }) => payloadType)).toEqual([63, 63]);
  });

  it("is sent on the retransmission stream with that stream's payload", () => {
    const sequence = repeated.send(Buffer.alloc(165), 0, false, NO_PICTURE_ID, 63, Buffer.alloc(80));
    repeated.repeat([sequence], 0);
    expect(wire.map(({ payloadType, bytes }) => [payloadType, bytes - RTP_HEADER_BYTES - 16])).toEqual([
      [63, 165],
      [97, 82],
    ]);
  });

  it('is not sent again once it is too old', () => {
    repeated = retransmitterOf(undefined, new RepairBudget(), 9);
    const sequences = send(20);
    repeated.repeat(sequences, 0);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('is sent again after a keyframe as long as a viewer may wait for it', () => {
    repeated = new Retransmitter({
      original,
      rtx: undefined,
      budget: new RepairBudget(),
      historyPackets: VIDEO_HISTORY_PACKETS,
      maxAgeBeforeKeyframeTicks: 9,
    });
    const sequences = send(20);
    repeated.beginKeyframe(sequences[15] ?? 0);
    repeated.repeat(sequences, 0);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });

  it('is not sent again once something else has replaced it', () => {
    const before = send(50);
    repeated.forget();
    const after = send(30);
    repeated.repeat([...before, ...after], 0);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual(after.map((_, i) => i));
  });

  it('is sent again with its picture id, which its shared payload has lost', () => {
    const payload = Buffer.alloc(PAYLOAD_BYTES);
    const pictureIds: number[] = [];
    const { send: write } = writer;
    writer.send = (bytes) => {
      pictureIds.push(payload.readUInt16BE(2) & PICTURE_ID_MASK);
      return write(bytes);
    };
    const first = repeated.send(payload, 0, true, 7);
    repeated.send(payload, 3000, true, 8);
    repeated.repeat([first], 0);
    expect(pictureIds).toEqual([7, 8, 7]);
  });

  it('is sent twice on a long, lossy path if there is a retransmission stream', () => {
    const [first = 0, second = 0, third = 0] = send(3);
    repeated.repeat([first], 0, 300, 0.02);
    repeated.repeat([second], 0, 300, 0);
    repeated.repeat([third], 0, 50, 0.02);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual([0, 0, 1, 2]);
  });

  it('costs audio at most its share of the bitrate, after an initial burst', () => {
    repeated = retransmitterOf(undefined, new RepairBudget(AUDIO_REPAIR_SHARE, AUDIO_REPAIR_LIMIT_BYTES));
    repeated.repeat(send(100), 0);
    expect(wire).toHaveLength(Math.floor(AUDIO_REPAIR_LIMIT_BYTES / PACKET_BYTES));
    const more = send(10);
    repeated.repeat(more, 0);
    expect(wire.length).toBeGreaterThanOrEqual(4);
    expect(wire.length).toBeLessThanOrEqual(5);
  });

  it('costs at most a quarter of the media, after an initial burst', () => {
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

describe('a retransmitted packet', () => {
  const fates = new Map<number, PacketFate>();

  beforeEach(() => {
    fates.clear();
    const estimator = new BandwidthEstimator();
    const congestion = {
      extension: new CongestionExtension(estimator, () => 0),
      ids: { transportSequence: 4, absSendTime: undefined },
    };
    original = new RtpStream({ ssrc: 1, payloadType: 96, srtp, writer, congestion });
    repeated = new Retransmitter({
      original,
      rtx: new RtpStream({ ssrc: 2, payloadType: 97, srtp, writer, congestion }),
      budget: new RepairBudget(),
      historyPackets: VIDEO_HISTORY_PACKETS,
      fateOf: (transportSequence) => fates.get(transportSequence) ?? 'in-flight',
    });
  });

  it('is sent again when the viewer reports it lost, until it arrives', () => {
    const [first = 0, second = 0] = send(2);
    repeated.repeat([first, second], 0);
    wire.length = 0;
    repeated.repeatLost(10);
    expect(wire).toEqual([]);
    fates.set(2, 'lost').set(3, 'received');
    repeated.repeatLost(20);
    repeated.repeatLost(30);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual([0]);
    fates.set(4, 'lost');
    repeated.repeatLost(40);
    expect(wire.map(({ timestamp }) => timestamp)).toEqual([0, 0]);
  });

  it('is not sent again for the loss of an earlier retransmission', () => {
    const [sequence = 0] = send(1);
    repeated.repeat([sequence], 0, 50);
    repeated.repeat([sequence], 60, 50);
    wire.length = 0;
    fates.set(1, 'lost');
    repeated.repeatLost(70);
    expect(wire).toEqual([]);
    fates.set(2, 'lost');
    repeated.repeatLost(80);
    expect(wire).toHaveLength(1);
  });

  it('that was replaced is not sent again', () => {
    const [sequence = 0] = send(1);
    repeated.repeat([sequence], 0);
    repeated.forget();
    wire.length = 0;
    fates.set(1, 'lost');
    repeated.repeatLost(20);
    expect(wire).toEqual([]);
  });
});
