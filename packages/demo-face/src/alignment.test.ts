import { describe, expect, it } from 'vitest';
import { alignPhonemes, parseIpa } from './alignment.js';

describe('parseIpa()', () => {
  it('splits words and phonemes, and removes stress marks from names', () => {
    expect(parseIpa(' h_ə_l_ˈoʊ aɪ_m\n')).toEqual([
      [
        { ipa: 'h', stress: 0 },
        { ipa: 'ə', stress: 0 },
        { ipa: 'l', stress: 0 },
        { ipa: 'oʊ', stress: 2 },
      ],
      [
        { ipa: 'aɪ', stress: 0 },
        { ipa: 'm', stress: 0 },
      ],
    ]);
  });

  it('ignores marks of a language switch', () => {
    expect(
      parseIpa('(fr)_b_ˈɔ̃_(en)')
        .flat()
        .map(({ ipa }) => ipa),
    ).toEqual(['b', 'ɔ̃']);
  });
});

describe('alignPhonemes()', () => {
  const words = parseIpa('h_ə_l_ˈoʊ m_aɪ f_ɹ_ˈɛ_n_d');

  it('leaves no gap between phonemes and fills the clause', () => {
    const phonemes = alignPhonemes(words, [], 1.2);
    expect(phonemes).toHaveLength(11);
    expect(phonemes[0]?.startSeconds).toBe(0);
    expect(phonemes.at(-1)?.endSeconds).toBeCloseTo(1.2);
    for (const [index, phoneme] of phonemes.entries()) {
      expect(phoneme.endSeconds).toBeGreaterThan(phoneme.startSeconds);
      if (index > 0) expect(phoneme.startSeconds).toBe(phonemes[index - 1]?.endSeconds);
    }
  });

  it('starts a word exactly at its measured onset', () => {
    const phonemes = alignPhonemes(
      words,
      [
        { word: 1, seconds: 0.41 },
        { word: 2, seconds: 0.66 },
      ],
      1.2,
    );
    expect(phonemes[4]).toMatchObject({ ipa: 'm', startSeconds: 0.41 });
    expect(phonemes[6]).toMatchObject({ ipa: 'f', startSeconds: 0.66 });
  });

  it('distributes time to words without an onset', () => {
    const phonemes = alignPhonemes(words, [{ word: 2, seconds: 0.8 }], 1.2);
    expect(phonemes[6]).toMatchObject({ ipa: 'f', startSeconds: 0.8 });
    expect(phonemes[4]?.startSeconds).toBeGreaterThan(0.3);
    expect(phonemes[4]?.startSeconds).toBeLessThan(0.7);
  });

  it('ignores an onset that precedes the previous one', () => {
    const phonemes = alignPhonemes(
      words,
      [
        { word: 1, seconds: 0.5 },
        { word: 2, seconds: 0.2 },
      ],
      1.2,
    );
    expect(phonemes[4]?.startSeconds).toBe(0.5);
    expect(phonemes[6]?.startSeconds).toBeGreaterThan(0.5);
    expect(phonemes).toHaveLength(11);
  });

  it('gives a diphthong more time than a plosive', () => {
    const [plosive, diphthong] = alignPhonemes(parseIpa('t_aɪ'), [], 0.3);
    expect(diphthong && diphthong.endSeconds - diphthong.startSeconds).toBeGreaterThan(2 * (plosive?.endSeconds ?? 1));
  });
});
