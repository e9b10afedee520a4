import { describe, expect, it } from 'vitest';
import type { Clip } from './clip.js';
import { PlayedHistory } from './played-history.js';

const clip = (durationSamples: number) => ({ durationSamples }) as Clip;
const [one, two] = [clip(10_000), clip(1_000_000)];

describe('PlayedHistory', () => {
  it('tells what was played at a position within a packet, across a cut', () => {
    const history = new PlayedHistory();
    history.add(0, { clip: one, seq: 0, positionSamples: 5000 });
    history.add(960, { clip: two, seq: 4, positionSamples: 0 });
    expect(history.at(480)).toEqual({ clip: one, seq: 0, positionSamples: 5480 });
    expect(history.at(959)?.clip).toBe(one);
    expect(history.at(960)).toEqual({ clip: two, seq: 4, positionSamples: 0 });
    expect(history.at(-1)).toBeUndefined();
    expect(history.at(960 + 9600)).toEqual({ clip: two, seq: 4, positionSamples: 960 });
  });

  it('remembers two seconds, and never states more than the clip has', () => {
    const history = new PlayedHistory();
    for (let i = 0; i < 250; i++) history.add(960 * i, { clip: one, seq: 1, positionSamples: 9900 });
    expect(history.at(960 * 250)?.positionSamples).toBe(10_000);
    expect(history.at(960 * 150)).toBeDefined();
    expect(history.at(960 * 149)).toBeUndefined();
  });
});
