import { Decoder } from '@evan/opus';
import { describe, expect, it } from 'vitest';
import { OpusEncoder } from './opus-encoder.js';

const RATE = 24_000;
const BLOCK = 480;

/** @returns A speech-like tone with a gliding pitch, which correlates with itself only at lag 0. */
function speechLike(samples: number): Int16Array {
  let phase = 0;
  return Int16Array.from({ length: samples }, (_, i) => {
    phase += (2 * Math.PI * (120 + (80 * i) / RATE)) / RATE;
    return 4000 * (Math.sin(phase) + 0.6 * Math.sin(2 * phase) + 0.4 * Math.sin(5 * phase) + 0.2 * Math.sin(9 * phase));
  });
}

/** @returns The decoded PCM without the encoder's look-ahead. */
function transcode(pcm: Int16Array, encoder: OpusEncoder): { decoded: Int16Array; packets: Buffer[] } {
  const decoder = new Decoder({ channels: 1, sample_rate: RATE });
  const decoded = new Int16Array(pcm.length);
  const packets: Buffer[] = [];
  for (let at = 0; at + BLOCK <= pcm.length; at += BLOCK) {
    const block = pcm.slice(at, at + BLOCK);
    const packet = encoder.encode(
      block,
      block.some((sample) => sample !== 0),
    );
    packets.push(packet);
    const bytes = decoder.decode(packet);
    decoded.set(new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)), at);
  }
  return { decoded: decoded.subarray(encoder.lookaheadSamples / 2), packets };
}

/** @returns The lag of the best correlation, samples. */
function lagOf(decoded: Int16Array, pcm: Int16Array, from: number, to: number): number {
  let best = { lag: Number.NaN, fit: Number.NEGATIVE_INFINITY };
  for (let lag = -100; lag <= 100; lag++) {
    let fit = 0;
    for (let i = from; i < to; i++) fit += (decoded[i + lag] ?? 0) * (pcm[i] ?? 0);
    if (fit > best.fit) best = { lag, fit };
  }
  return best.lag;
}

/** @returns The signal-to-noise ratio, dB. */
function snrOf(decoded: Int16Array, pcm: Int16Array, from: number, to: number): number {
  let [signal, noise] = [0, 0];
  for (let i = from; i < to; i++) {
    signal += (pcm[i] ?? 0) ** 2;
    noise += ((pcm[i] ?? 0) - (decoded[i] ?? 0)) ** 2;
  }
  return 10 * Math.log10(signal / noise);
}

describe.each(['celt', 'silk'] as const)('OpusEncoder in mode %s', (mode) => {
  const create = () => new OpusEncoder({ bitrateBps: 32_000, complexity: 0, mode });
  /** SILK's filters shift phases by up to a quarter of a millisecond. */
  const tolerance = mode === 'celt' ? 0 : 6;

  it('keeps the position of samples, even after silence that one packet represents', () => {
    const speech = speechLike(RATE);
    const pcm = new Int16Array(4 * RATE);
    pcm.set(speech, 0);
    pcm.set(speech, 3 * RATE);
    const { decoded, packets } = transcode(pcm, create());
    expect(packets.filter((packet, i) => packet === packets[i - 1]).length).toBeGreaterThan(50);
    expect(Math.abs(lagOf(decoded, pcm, RATE / 4, (RATE * 3) / 4))).toBeLessThanOrEqual(tolerance);
    expect(Math.abs(lagOf(decoded, pcm, 3.25 * RATE, 3.75 * RATE))).toBeLessThanOrEqual(tolerance);
    expect(Math.max(...decoded.subarray(1.5 * RATE, 2.9 * RATE).map(Math.abs))).toBeLessThan(3);
  });

  it('joins two clips without artifacts around the cut', () => {
    const speech = speechLike(2 * RATE);
    // The second clip begins in the middle of a packet.
    const cut = RATE + 200;
    const pcm = new Int16Array(2 * RATE);
    pcm.set(speech.subarray(0, cut), 0);
    pcm.set(speech.subarray(RATE / 2, RATE / 2 + pcm.length - cut), cut);
    const { decoded } = transcode(pcm, create());
    expect(Math.abs(lagOf(decoded, pcm, cut, cut + 4800))).toBeLessThanOrEqual(tolerance);
    if (mode === 'celt') {
      // 10 ms after the cut the quality is as everywhere else.
      expect(snrOf(decoded, pcm, cut + 240, cut + 2640)).toBeGreaterThan(snrOf(decoded, pcm, RATE / 2, RATE) - 3);
    }
  });
});

describe("OpusEncoder's look-ahead", () => {
  it('is 2.5 ms in mode celt and 6.5 ms in mode silk', () => {
    const of = (mode: 'celt' | 'silk') => new OpusEncoder({ bitrateBps: 32_000, complexity: 0, mode }).lookaheadSamples;
    expect([of('celt'), of('silk')]).toEqual([120, 312]);
  });
});
