import { describe, expect, it } from 'vitest';
import { VoiceRate } from './voice-rate.js';

const HZ = 440;
const tone = (frame: number) =>
  Buffer.from(
    Int16Array.from({ length: 320 }, (_, i) => 10_000 * Math.sin((2 * Math.PI * HZ * (320 * frame + i)) / 16_000))
      .buffer,
  );
const heard = (frame: number, viewer = 'vw_12345678') => ({ viewer, epoch: 1, frame, atMs: 20 * frame });
const samplesOf = (pcm: Buffer) => new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2);

describe('VoiceRate', () => {
  it('leaves 16 kHz as it is', () => {
    const pcm = tone(0);
    expect(new VoiceRate(16_000).convert(heard(0), pcm)).toBe(pcm);
  });

  it('gives 480 samples a frame at 24 kHz, 1.7 ms late, of the same tone across frames', () => {
    const rate = new VoiceRate(24_000);
    const frames = Array.from({ length: 10 }, (_, frame) => samplesOf(rate.convert(heard(frame), tone(frame))));
    expect(frames.map(({ length }) => length)).toEqual(Array(10).fill(480));
    const delay = (27 * 24_000) / 16_000;
    const voice = frames.flatMap((frame) => [...frame]);
    for (let i = 480; i < voice.length; i++) {
      const expected = 10_000 * Math.sin((2 * Math.PI * HZ * (i - delay)) / 24_000);
      expect(Math.abs((voice[i] as number) - expected)).toBeLessThan(10);
    }
  });

  it('keeps viewers apart, and begins anew after a gap', () => {
    const rate = new VoiceRate(24_000);
    const first = rate.convert(heard(0), tone(0));
    expect(rate.convert(heard(0, 'vw_87654321'), tone(0))).toEqual(first);
    expect(rate.convert(heard(1), tone(0))).not.toEqual(first);
    expect(rate.convert({ ...heard(2), gapMs: 100 }, tone(0))).toEqual(first);
    expect(rate.convert({ ...heard(3), droppedMs: 20 }, tone(0))).toEqual(first);
  });
});
