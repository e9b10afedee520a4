import { describe, expect, it } from 'vitest';
import type { Phoneme } from './alignment.js';
import { REST_MOUTH } from './mouth.js';
import { mouthAt, mouthTargets, visemesOf } from './visemes.js';

/** @returns Consecutive phonemes of 100 ms each, from zero. */
function spoken(...names: string[]): Phoneme[] {
  return names.map((ipa, index) => ({ ipa, stress: 0, startSeconds: index * 0.1, endSeconds: (index + 1) * 0.1 }));
}

function mouthIn(names: string[], index: number) {
  return mouthAt(mouthTargets(spoken(...names)), index * 0.1 + 0.05);
}

describe('mouthAt()', () => {
  it.each(['p', 'b', 'm'])('closes the lips on "%s" even between the most open vowels', (consonant) => {
    const mouth = mouthIn(['ɑː', consonant, 'ɑː'], 1);
    expect(mouth.open).toBeLessThan(0.06);
    expect(mouth.press).toBeGreaterThan(0.85);
  });

  it('opens wider for "ah" than for "ee"', () => {
    expect(mouthIn(['t', 'ɑː', 't'], 1).open).toBeGreaterThan(mouthIn(['t', 'iː', 't'], 1).open + 0.2);
  });

  it('spreads the lips for "ee" and rounds them for "oo"', () => {
    expect(mouthIn(['iː'], 0).width).toBeGreaterThan(0.5);
    expect(mouthIn(['uː'], 0).width).toBeLessThan(-0.6);
  });

  it('moves the lower lip to the teeth for "f"', () => {
    expect(mouthIn(['ɛ', 'f', 'ɛ'], 1).tuck).toBeGreaterThan(0.7);
  });

  it('rounds a "t" before "oo" and spreads it before "ee"', () => {
    expect(mouthIn(['t', 'uː'], 0).width).toBeLessThan(-0.05);
    expect(mouthIn(['t', 'iː'], 0).width).toBeGreaterThan(0.1);
  });

  it('moves from one shape to the other in a diphthong', () => {
    const targets = mouthTargets(spoken('aɪ'));
    expect(mouthAt(targets, 0.025).open).toBeGreaterThan(mouthAt(targets, 0.075).open);
    expect(mouthAt(targets, 0.025).width).toBeLessThan(mouthAt(targets, 0.075).width);
  });

  it('opens farther for a stressed vowel', () => {
    const [plain, stressed] = [0, 2].map((stress) =>
      mouthAt(mouthTargets([{ ipa: 'ɑː', stress: stress as 0 | 2, startSeconds: 0, endSeconds: 0.2 }]), 0.1),
    );
    expect(stressed?.open).toBeGreaterThan((plain?.open ?? 1) + 0.1);
  });

  it('moves before the phoneme is audible, but not long before', () => {
    const targets = mouthTargets([{ ipa: 'ɑː', stress: 2, startSeconds: 1, endSeconds: 1.2 }]);
    expect(mouthAt(targets, 0.98).open).toBeGreaterThan(0.05);
    expect(mouthAt(targets, 0.85).open).toBeLessThan(0.02);
  });

  it('comes to rest in a pause between clauses', () => {
    const [first, second] = spoken('ɑː', 'ɑː') as [Phoneme, Phoneme];
    const targets = mouthTargets([first, { ...second, startSeconds: 0.4, endSeconds: 0.5 }]);
    expect(mouthAt(targets, 0.25).open).toBeLessThan(0.05);
  });

  it('rests without phonemes', () => {
    expect(mouthAt(mouthTargets([]), 1)).toEqual(REST_MOUTH);
  });

  it('never jumps: no value changes by more than a quarter in 10 ms', () => {
    const names = ['h', 'ə', 'l', 'oʊ', 'p', 'iː', 'p', 'əl', 'v', 'ɑː', 'm', 'uː', 's'];
    const targets = mouthTargets(spoken(...names));
    for (let step = -20; step < names.length * 10 + 20; step++) {
      const [now, next] = [mouthAt(targets, step / 100), mouthAt(targets, (step + 1) / 100)];
      for (const key of Object.keys(now) as (keyof typeof now)[]) {
        expect(Math.abs(next[key] - now[key]), `${key} at ${step / 100} s`).toBeLessThan(0.25);
      }
    }
  });

  it('has a shape for an unknown phoneme', () => {
    expect(visemesOf('ħ')).toEqual(['slack']);
  });
});
