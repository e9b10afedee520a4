import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sentencesOf } from './sentences.js';

describe('sentencesOf()', () => {
  it('keeps punctuation marks', () => {
    expect(sentencesOf('Hello! I am  here, for you. Version 2.5 is\nfine?')).toEqual([
      'Hello!',
      'I am  here, for you.',
      'Version 2.5 is',
      'fine?',
    ]);
  });

  it('returns an empty list for a text without letters or digits', () => {
    expect(sentencesOf(' … !? \n--')).toEqual([]);
  });

  it('splits a long sentence after a comma', () => {
    const long = `${'a '.repeat(60)}b, ${'c '.repeat(60)}d.`;
    const [first, second] = sentencesOf(long);
    expect(first?.endsWith('b,')).toBe(true);
    expect(second?.endsWith('d.')).toBe(true);
  });

  it('returns sentences of at most 160 characters, and loses no letter', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 2000, unit: fc.constantFrom('a', 'é', ' ', '.', ',', '\n', '7') }), (text) => {
        const sentences = sentencesOf(text);
        expect(Math.max(0, ...sentences.map(({ length }) => length))).toBeLessThanOrEqual(160);
        const letters = (s: string) => s.replaceAll(/[^\p{L}\p{N}]/gu, '');
        expect(letters(sentences.join(''))).toBe(letters(text));
      }),
    );
  });
});
