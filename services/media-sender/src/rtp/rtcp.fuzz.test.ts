import { type FuzzRandom, fuzz, fuzzTimeoutMs, mutate } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { protectRtcp } from '../../testing/recording-writer.js';
import { BandwidthEstimator, MAX_BPS } from '../congestion/bandwidth-estimator.js';
import { packetize } from './packetize.js';
import { MAX_PAYLOAD_BYTES } from './payload-size.js';
import { goodbye, MAX_NACKED, type RtcpListener, readRtcp, senderReport } from './rtcp.js';
import {
  MASTER_KEY_BYTES,
  masterSaltBytes,
  type SrtpKeys,
  type SrtpProfile,
  SrtpReceiver,
  SrtpSender,
} from './srtp.js';

/** A datagram's largest size. */
const MAX_BYTES = 65_507;
/** 32 packets of a compound are read, with 31 blocks at most. */
const MAX_BLOCKS = 32 * 31;

const NACK = Buffer.from('81cd0004000000010000000900ff8001ffff8001', 'hex');
const PLI = Buffer.from('81ce00020000000100000009', 'hex');
const TRANSPORT_FEEDBACK = Buffer.from('8fcd00060000000100000009000100030000020020030408000000000000', 'hex').subarray(
  0,
  28,
);
const REMB = Buffer.from('8fce0005000000010000000052454d42010bb80000000009', 'hex');
const REPORT = Buffer.from('81c9000700000001000000054000010000010002000003000000040000000500', 'hex');
const SR = senderReport({ ssrc: 1, cname: 'name', ntp: 2n ** 62n, rtpTimestamp: 3, packets: 4, octets: 5 });
const FEEDBACK = [TRANSPORT_FEEDBACK, REMB];
const COMPOUNDS = [
  SR,
  goodbye([1, 2, 3], 'name'),
  NACK,
  PLI,
  REPORT,
  ...FEEDBACK,
  Buffer.concat([REPORT, NACK, PLI, NACK]),
];

const PROFILES: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES128_CM_HMAC_SHA1_80'];

function keysOf(profile: SrtpProfile): SrtpKeys {
  const bytes = (count: number) => Buffer.alloc(count, 0x5a);
  return { profile, masterKey: bytes(MASTER_KEY_BYTES), masterSalt: bytes(masterSaltBytes(profile)) };
}

const estimator = new BandwidthEstimator();

/** Counts events, and their largest size. */
class Counter implements RtcpListener {
  blocks = 0;
  names = 0;
  report() {
    this.blocks++;
  }
  nack(_ssrc: number, sequences: readonly number[]) {
    this.names += sequences.length;
  }
  pictureLoss() {}
  senderReport() {}
  transportFeedback(packet: Buffer) {
    estimator.transportFeedback(packet, 0);
  }
  receiverEstimate(bps: number) {
    estimator.remb(bps, 0);
    expect(estimator.targetBps(0)).toBeLessThanOrEqual(MAX_BPS);
  }
  bye(ssrcs: readonly number[]) {
    expect(ssrcs.length).toBeLessThanOrEqual(31);
  }
}

function expectBounded(compound: Buffer): void {
  const counter = new Counter();
  readRtcp(compound, counter);
  expect(counter.blocks).toBeLessThanOrEqual(Math.min(MAX_BLOCKS, compound.length / 24));
  expect(counter.names).toBeLessThanOrEqual(Math.min(MAX_NACKED, 17 * (compound.length / 4)));
}

describe('readRtcp() with authentic RTCP', () => {
  it.each(PROFILES)(
    'reports a bounded number of events for any content (%s)',
    { timeout: fuzzTimeoutMs() },
    async (profile) => {
      const sender = new SrtpSender(keysOf(profile));
      const receiver = new SrtpReceiver(keysOf(profile));
      const { runs } = await fuzz({ corpus: COMPOUNDS, seconds: 3, maxBytes: MAX_BYTES }, (input, random) => {
        // A holder of the keys can encrypt anything; compounds are repeated up to the largest datagram.
        const compound = random.chance(0.02) ? Buffer.concat(Array.from({ length: 40 }, () => input)) : input;
        expectBounded(compound);
        if (compound.length < 8 || compound.length > MAX_BYTES) return;
        const clear = receiver.unprotectRtcp(protectRtcp(sender, compound));
        expect(clear).toEqual(compound);
      });
      expect(runs).toBeGreaterThan(100);
    },
  );
});

describe('SrtpReceiver', () => {
  it.each(PROFILES)('rejects packets that are not authentic (%s)', { timeout: fuzzTimeoutMs() }, async (profile) => {
    const sender = new SrtpSender(keysOf(profile));
    const corpus = COMPOUNDS.map((compound) => protectRtcp(sender, compound));
    const { runs } = await fuzz({ corpus, seconds: 3 }, (input) => {
      const taken = new SrtpReceiver(keysOf(profile)).unprotectRtcp(input);
      expect(taken !== undefined).toBe(corpus.some((packet) => packet.equals(input)));
    });
    expect(runs).toBeGreaterThan(100);
  });
});

describe('packetize() with damaged media', () => {
  it('returns payloads of the right size, or throws RangeError', { timeout: fuzzTimeoutMs() }, async () => {
    const nal = (type: number, bytes: number) =>
      Buffer.concat([Buffer.from([0, 0, 0, 1, 0x60 | type]), Buffer.alloc(bytes, 7)]);
    const corpus = [Buffer.concat([nal(7, 20), nal(8, 4), nal(5, 3000)]), nal(1, 800), Buffer.alloc(2500, 9)];
    const options = { corpus, seconds: 3, maxBytes: 10_000 };
    const { runs } = await fuzz(options, (input, random: FuzzRandom) => {
      for (const codec of ['vp8', 'h264'] as const) {
        const payloads = payloadsOf(codec, mutate(input, random, corpus, 10_000));
        expect(payloads.every(({ length }) => length > 0 && length <= MAX_PAYLOAD_BYTES)).toBe(true);
      }
    });
    expect(runs).toBeGreaterThan(100);
  });
});

function payloadsOf(codec: 'vp8' | 'h264', data: Buffer): readonly Buffer[] {
  try {
    return packetize(codec, data, true).payloads;
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
    return [];
  }
}
