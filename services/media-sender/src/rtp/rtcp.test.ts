import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  GenericNack,
  PictureLossIndication,
  ReceiverEstimatedMaxBitrate,
  RtcpPacketConverter,
  RtcpPayloadSpecificFeedback,
  RtcpReceiverInfo,
  RtcpRrPacket,
  RtcpSourceDescriptionPacket,
  RtcpSrPacket,
  RtcpTransportLayerFeedback,
} from 'werift';
import {
  genericNack,
  goodbye,
  MAX_NACKED,
  type ReportBlock,
  type RtcpListener,
  readRtcp,
  senderReport,
} from './rtcp.js';

class Recorder implements RtcpListener {
  blocks: ReportBlock[] = [];
  nacks: [number, readonly number[]][] = [];
  losses: number[] = [];
  senderReports: [number, number][] = [];
  byes: (readonly number[])[] = [];
  feedback: Buffer[] = [];
  estimates: number[] = [];
  report(block: ReportBlock) {
    this.blocks.push(block);
  }
  nack(ssrc: number, sequences: readonly number[]) {
    this.nacks.push([ssrc, sequences]);
  }
  senderReport(ssrc: number, middle: number) {
    this.senderReports.push([ssrc, middle]);
  }
  pictureLoss(ssrc: number) {
    this.losses.push(ssrc);
  }
  bye(ssrcs: readonly number[]) {
    this.byes.push(ssrcs);
  }
  transportFeedback(packet: Buffer) {
    this.feedback.push(packet);
  }
  receiverEstimate(bps: number) {
    this.estimates.push(bps);
  }
}

function read(compound: Buffer): Recorder {
  const recorder = new Recorder();
  readRtcp(compound, recorder);
  return recorder;
}

describe('outgoing RTCP', () => {
  it('is a sender report that werift reads', () => {
    const ntp = 0xe9a1_b2c3_8000_0000n;
    const packet = senderReport({
      ssrc: 0xdead_beef,
      cname: 'abcd',
      ntp,
      rtpTimestamp: 0xffff_fff0,
      packets: 2 ** 32 + 5,
      octets: 6,
    });
    const [sr, sdes] = RtcpPacketConverter.deSerialize(packet);
    expect(sr).toBeInstanceOf(RtcpSrPacket);
    expect(sr).toMatchObject({
      ssrc: 0xdead_beef,
      senderInfo: { ntpTimestamp: ntp, rtpTimestamp: 0xffff_fff0, packetCount: 5, octetCount: 6 },
    });
    expect(sdes).toBeInstanceOf(RtcpSourceDescriptionPacket);
    expect((sdes as RtcpSourceDescriptionPacket).chunks[0]).toMatchObject({
      source: 0xdead_beef,
      items: [{ type: 1, text: 'abcd' }],
    });
  });

  it('names the streams that end in a BYE', () => {
    expect(read(goodbye([7, 8], 'name')).byes).toEqual([[7, 8]]);
  });

  it.each([1, 2, 3, 4, 5])('is padded to whole words for a name of %i letters', (letters) => {
    const packet = goodbye([1], 'x'.repeat(letters));
    expect(packet.length % 4).toBe(0);
    expect(read(packet).byes).toEqual([[1]]);
  });
});

describe('incoming RTCP', () => {
  it('reports the blocks of receiver reports', () => {
    const block = {
      ssrc: 5,
      fractionLost: 64,
      packetsLost: 1000,
      highestSequence: 70_000,
      jitter: 90,
      lsr: 0x1234_5678,
      dlsr: 65_536,
    };
    const { blocks } = read(new RtcpRrPacket({ ssrc: 1, reports: [new RtcpReceiverInfo(block)] }).serialize());
    expect(blocks).toEqual([
      {
        ssrc: 5,
        fractionLost: 0.25,
        packetsLost: 1000,
        jitterTicks: 90,
        lastReport: 0x1234_5678,
        delaySinceLastReport: 65_536,
      },
    ]);
  });

  it('accepts a negative number of lost packets', () => {
    const packet = Buffer.from('81c90007000000010000000500ffffff000000000000000000000000' + '00000000', 'hex');
    expect(read(packet).blocks[0]?.packetsLost).toBe(-1);
  });

  it('reports PLI and NACK, even without a report in front', () => {
    const pli = new RtcpPayloadSpecificFeedback({
      feedback: new PictureLossIndication({ senderSsrc: 1, mediaSsrc: 9 }),
    });
    const nack = new RtcpTransportLayerFeedback({
      feedback: new GenericNack({ senderSsrc: 1, mediaSourceSsrc: 9, lost: [10, 12, 65_535] }),
    });
    const seen = read(Buffer.concat([pli.serialize(), nack.serialize()]));
    expect(seen.losses).toEqual([9]);
    expect(seen.nacks).toEqual([[9, [10, 12, 65_535]]]);
  });

  it('reports FIR, whose entry names the stream (RFC 5104 §4.3.1.1)', () => {
    const fir = Buffer.from('84ce0004' + '00000001' + '00000000' + '00000009' + '07000000', 'hex');
    expect(read(fir).losses).toEqual([9]);
    expect(read(Buffer.from('84ce0002' + '00000001' + '00000000', 'hex')).losses).toEqual([]);
  });

  it('reports lost packets across the wrap of sequence numbers', () => {
    const packet = Buffer.from('81cd000300000001000000' + '09' + 'ffff8001', 'hex');
    expect(read(packet).nacks).toEqual([[9, [65_535, 0, 15]]]);
  });

  it('reports no more lost packets than are remembered', () => {
    const nack = (words: number) => {
      const packet = Buffer.alloc(12 + 4 * words, 0xff);
      packet.writeUInt16BE(0x81cd, 0);
      packet.writeUInt16BE(2 + words, 2);
      return packet;
    };
    const named = (compound: Buffer) => read(compound).nacks.reduce((sum, [, lost]) => sum + lost.length, 0);
    expect(named(nack(60))).toBe(60 * 17);
    expect(named(nack(15_000))).toBe(MAX_NACKED);
    expect(named(Buffer.concat(Array.from({ length: 100 }, () => nack(10))))).toBe(MAX_NACKED);
  });

  it('reads a limited number of packets of a compound', () => {
    const pli = Buffer.from('81ce00020000000100000009', 'hex');
    expect(read(Buffer.concat(Array.from({ length: 5000 }, () => pli))).losses).toHaveLength(32);
  });

  it('does not throw for any content', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), fc.integer({ min: 199, max: 207 }), (bytes, type) => {
        const packet = Buffer.from(bytes);
        read(packet);
        if (packet.length < 4) return;
        packet[0] = 0x80 | ((packet[0] ?? 0) & 0x1f);
        packet[1] = type;
        packet.writeUInt16BE(Math.floor(packet.length / 4) - 1, 2);
        read(packet);
      }),
    );
  });
});

describe('incoming bandwidth feedback', () => {
  it('is a REMB that werift wrote', () => {
    for (const bps of [0, 30_000, 262_143, 1_500_000]) {
      const feedback = new ReceiverEstimatedMaxBitrate({
        senderSsrc: 1,
        mediaSsrc: 0,
        ssrcNum: 1,
        ssrcFeedbacks: [9],
        ...mantissaOf(bps),
      });
      const [estimate = 0] = read(new RtcpPayloadSpecificFeedback({ feedback }).serialize()).estimates;
      expect(Math.abs(estimate - bps)).toBeLessThan(8);
    }
  });

  it('is passed on whole if it is transport-wide, and not if it is another application message', () => {
    const feedback = Buffer.from('8fcd0002000000010000000900000000', 'hex').subarray(0, 12);
    expect(read(Buffer.concat([feedback, feedback])).feedback).toEqual([feedback, feedback]);
    const other = Buffer.from('8fce0004000000010000000000000000000000ff', 'hex');
    expect(read(other).estimates).toEqual([]);
  });
});

function mantissaOf(bps: number): { brExp: number; brMantissa: number } {
  let brExp = 0;
  for (; bps / 2 ** brExp > 0x3ffff; brExp++);
  return { brExp, brMantissa: Math.floor(bps / 2 ** brExp) };
}

describe('genericNack()', () => {
  it('asks for exactly the packets, also across the wrap, as werift reads it', () => {
    const lost = [65_530, 65_531, 65_535, 0, 20, 500];
    const compound = genericNack(5, 'name', 9, lost);
    expect(read(compound).nacks).toEqual([[9, lost]]);
    const [, , nack] = RtcpPacketConverter.deSerialize(compound);
    expect(nack).toBeInstanceOf(RtcpTransportLayerFeedback);
    const { feedback } = nack as RtcpTransportLayerFeedback;
    // werift does not wrap.
    const seen = (feedback as GenericNack).lost.map((sequence) => sequence % 65_536);
    expect(feedback).toMatchObject({ senderSsrc: 5, mediaSourceSsrc: 9 });
    expect(seen).toEqual(lost);
  });
});

describe('senderReport() with a reception report', () => {
  it('states what was received, as werift reads it', () => {
    const reception = {
      ssrc: 9,
      fractionLost: 128,
      packetsLost: 1000,
      highestSequence: 70_000,
      jitterTicks: 480,
      lastReport: 0x1234_5678,
      delaySinceLastReport: 65_536,
    };
    const report = senderReport(
      { ssrc: 5, cname: 'name', ntp: 0x0001_2345_6789_0000n, rtpTimestamp: 7, packets: 3, octets: 4 },
      reception,
    );
    const [sr] = RtcpPacketConverter.deSerialize(report);
    expect(sr).toMatchObject({
      ssrc: 5,
      reports: [
        {
          ssrc: 9,
          fractionLost: 128,
          packetsLost: 1000,
          highestSequence: 70_000,
          jitter: 480,
          lsr: 0x1234_5678,
          dlsr: 65_536,
        },
      ],
    });
    expect(read(report).senderReports).toEqual([[5, 0x2345_6789]]);
  });
});
