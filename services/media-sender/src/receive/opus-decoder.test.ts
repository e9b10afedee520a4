import { Encoder } from '@evan/opus';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import { describe, expect, it } from 'vitest';
import { OpusDecoder } from './opus-decoder.js';
import { opusTicks } from './opus-packet.js';

const RATE = 16_000;

function tone(samples: number, rate: number, channels = 1): Int16Array {
  return Int16Array.from({ length: samples * channels }, (_, i) => {
    return 8000 * Math.sin((2 * Math.PI * 300 * Math.floor(i / channels)) / rate);
  });
}

function energy(pcm: Int16Array): number {
  return Math.sqrt(pcm.reduce((sum, sample) => sum + sample * sample, 0) / pcm.length);
}

function encoderOf(options: { rate?: 8000 | 48_000; channels?: 1 | 2; application?: 'voip' | 'restricted_lowdelay' }) {
  const { rate = 48_000, channels = 1, application = 'voip' } = options;
  return new Encoder({ sample_rate: rate, channels, application });
}

describe('OpusDecoder', () => {
  it.each([
    ['SILK, 8 kHz, 20 ms', { rate: 8000, application: 'voip' }, 20],
    ['CELT, 48 kHz, 10 ms', { application: 'restricted_lowdelay' }, 10],
    ['stereo, 60 ms', { channels: 2 }, 60],
    ['several frames, 120 ms', {}, 120],
  ] as const)('decodes %s as mono', (_, options, ms) => {
    const rate = 'rate' in options ? options.rate : 48_000;
    const channels = 'channels' in options ? options.channels : 1;
    const encoder = encoderOf(options);
    const decoder = new OpusDecoder(RATE);
    const pcm = tone((ms * rate) / 1000, rate, channels);
    const levels = [1, 2, 3, 4].map(() => {
      const packet = Buffer.from(encoder.encode(pcm));
      expect(opusTicks(packet)).toBe(48 * ms);
      const decoded = decoder.decode(packet);
      expect(decoded?.length).toBe((ms * RATE) / 1000);
      return energy(decoded ?? new Int16Array(1));
    });
    expect(levels.at(-1)).toBeGreaterThan(4000);
  });

  it('conceals a lost packet by its in-band FEC, or else by what was before', () => {
    const encoder = encoderOf({ application: 'voip' });
    encoder.inband_fec = true;
    encoder.packet_loss = 20;
    encoder.bitrate = 24_000;
    const packets = Array.from({ length: 10 }, () => Buffer.from(encoder.encode(tone(960, 48_000))));
    const decoder = new OpusDecoder(RATE);
    for (const packet of packets.slice(0, 8)) decoder.decode(packet);
    const repaired = decoder.conceal(960, packets[9]);
    expect(repaired?.length).toBe(320);
    expect(energy(repaired ?? new Int16Array(1))).toBeGreaterThan(3000);
    const concealed = decoder.conceal(480);
    expect(concealed?.length).toBe(160);
    expect(energy(concealed ?? new Int16Array(1))).toBeGreaterThan(500);
  });

  it('returns undefined for damaged and oversized packets, and continues', { timeout: fuzzTimeoutMs() }, async () => {
    const encoder = encoderOf({});
    const corpus = Array.from({ length: 5 }, () => Buffer.from(encoder.encode(tone(960, 48_000))));
    const decoder = new OpusDecoder(RATE);
    expect(decoder.decode(Buffer.alloc(3000))).toBeUndefined();
    const { runs } = await fuzz({ corpus, seconds: 2, maxBytes: 2100 }, (input) => {
      const pcm = decoder.decode(input);
      if (pcm) expect(pcm.length).toBeLessThanOrEqual(1920);
      if (pcm && input.length > 0) expect(48 * pcm.length).toBe(16 * (opusTicks(input) ?? 0));
    });
    expect(runs).toBeGreaterThan(100);
    expect(decoder.decode(corpus[0] as Buffer)?.length).toBe(320);
  });
});
