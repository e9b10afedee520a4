import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { isRtcp, readRtpHeader, withoutPadding } from './rtp-header.js';

const PLAIN = Buffer.from('806f0102000003e8fedcba98aabb', 'hex');
/** Two CSRCs, a header extension of one word, and padding. */
const FULL = Buffer.from('b2ef0102000003e8fedcba980000000100000002bede000110aa0000ffff0002', 'hex');

describe('readRtpHeader()', () => {
  it('reads the fields and the length of the header', () => {
    const fields = { payloadType: 111, sequence: 0x102, timestamp: 1000, ssrc: 0xfedcba98 };
    expect(readRtpHeader(PLAIN)).toEqual({ ...fields, bytes: 12, isPadded: false });
    expect(readRtpHeader(FULL)).toEqual({ ...fields, bytes: 28, isPadded: true });
  });

  it('returns undefined for another version and for packets that end within their header', () => {
    expect(readRtpHeader(Buffer.concat([Buffer.from([0x40]), PLAIN.subarray(1)]))).toBeUndefined();
    for (let bytes = 0; bytes < 12; bytes++) expect(readRtpHeader(PLAIN.subarray(0, bytes))).toBeUndefined();
    for (let bytes = 0; bytes < 28; bytes++) expect(readRtpHeader(FULL.subarray(0, bytes))).toBeUndefined();
  });

  it('states a header within the packet, whatever it contains', { timeout: fuzzTimeoutMs() }, async () => {
    const { runs } = await fuzz({ corpus: [PLAIN, FULL], seconds: 1 }, (input) => {
      const header = readRtpHeader(input);
      if (header) expect(header.bytes).toBeLessThanOrEqual(input.length);
    });
    expect(runs).toBeGreaterThan(100);
  });
});

describe('withoutPadding()', () => {
  it('removes the padding, and rejects impossible lengths', () => {
    expect(withoutPadding(Buffer.from([9, 8, 0, 2]))).toEqual(Buffer.from([9, 8]));
    expect(withoutPadding(Buffer.from([9, 8, 0, 0]))).toBeUndefined();
    expect(withoutPadding(Buffer.from([9, 8, 0, 5]))).toBeUndefined();
    expect(withoutPadding(Buffer.alloc(0))).toBeUndefined();
  });
});

describe('isRtcp()', () => {
  it('tells RTCP from RTP by the second byte', () => {
    expect([200, 201, 205, 206].map((type) => isRtcp(Buffer.from([0x80, type])))).toEqual([true, true, true, true]);
    // Opus with and without marker.
    expect([111, 239].map((type) => isRtcp(Buffer.from([0x80, type])))).toEqual([false, false]);
  });
});
