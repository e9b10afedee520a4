import { describe, expect, it } from 'vitest';
import { VoiceGaps } from './voice-gaps.js';

const heard = (epoch: number, frame: number, atMs: number, viewer = 'vw_12345678') => ({ viewer, epoch, frame, atMs });

describe('VoiceGaps', () => {
  it('marks lost frames, per viewer', () => {
    const gaps = new VoiceGaps();
    expect(gaps.next(heard(1, 5, 100))).toEqual(heard(1, 5, 100));
    expect(gaps.next(heard(1, 6, 120))).toEqual(heard(1, 6, 120));
    expect(gaps.next(heard(1, 0, 0, 'vw_another1'))).not.toHaveProperty('gapMs');
    expect(gaps.next({ ...heard(1, 9, 180), gapMs: 500 })).toEqual({ ...heard(1, 9, 180), gapMs: 540 });
  });

  it('goes on with a new host after a marked gap, and drops what the old one still sends', () => {
    const gaps = new VoiceGaps();
    gaps.next(heard(1, 50, 1000));
    expect(gaps.next(heard(2, 0, 1800))).toMatchObject({ gapMs: 780 });
    expect(gaps.next(heard(1, 51, 1020))).toBeUndefined();
    expect(gaps.next(heard(2, 1, 1820))).not.toHaveProperty('gapMs');
  });

  it('goes on with a new connection to the same host', () => {
    const gaps = new VoiceGaps();
    gaps.next(heard(1, 50, 1000));
    expect(gaps.next(heard(1, 0, 1100))).toMatchObject({ gapMs: 80 });
  });
});
