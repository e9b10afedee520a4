import { describe, expect, it } from 'vitest';
import { failureOf, PHRASES, type Phrase, wordsIn } from './words.js';

const LANGUAGES = ['en', 'de', 'es', 'fr', 'ja', 'zh'];
const phrases = Object.keys(PHRASES) as Phrase[];

describe('wordsIn()', () => {
  it('has every phrase in every language', () => {
    for (const phrase of phrases) {
      const all = LANGUAGES.map((language) => wordsIn([language])(phrase));
      expect(all.filter((words) => words.trim() === '')).toEqual([]);
      expect(PHRASES[phrase]).toHaveLength(LANGUAGES.length);
    }
  });

  it('takes the first language that it knows, whatever its region', () => {
    expect(wordsIn(['nl', 'de-AT', 'en'])('fullscreen')).toBe('Vollbild');
    expect(wordsIn(['zh-Hans-CN'])('interrupt')).toBe('打断');
    expect(wordsIn(['nl'])('fullscreen')).toBe('Full screen');
    expect(wordsIn([])('fullscreen')).toBe('Full screen');
  });

  it('takes phrases of what is loaded on demand, in the same order of languages', () => {
    expect(LANGUAGES.map((language) => wordsIn([language])(LANGUAGES))).toEqual(LANGUAGES);
  });

  it('puts the number into the phrase', () => {
    expect(LANGUAGES.map((language) => wordsIn([language])('waiting', 12)).every((text) => text.includes('12'))).toBe(
      true,
    );
  });
});

describe('failureOf()', () => {
  it('offers another attempt only where one may succeed', () => {
    expect(failureOf('unreachable')).toEqual({ phrase: 'unreachable', retry: true });
    expect(failureOf('viewer_limit')).toEqual({ phrase: 'full', retry: true });
    expect(failureOf('token_expired')).toEqual({ phrase: 'invalid', retry: false });
    expect(failureOf('brand_new')).toEqual({ phrase: 'failed', retry: true });
  });
});
