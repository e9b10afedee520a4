import { describe, expect, it } from 'vitest';
import { pagesOf } from './caption-pages.js';

const textsOf = (text: string) => pagesOf(text, 1000).map((page) => page.text);

describe('pagesOf()', () => {
  it('leaves a text of up to two lines whole, with its white space collapsed', () => {
    expect(pagesOf(' Hello,\n  there. ', 1500)).toEqual([{ text: 'Hello, there.', durationMs: 1500 }]);
    expect(textsOf('a'.repeat(84))).toHaveLength(1);
  });

  it('returns no pages for blank text', () => {
    expect(pagesOf('', 1000)).toEqual([]);
    expect(pagesOf(' \n\t', 1000)).toEqual([]);
  });

  it('divides a longer text between words, and shows each page for its share of the time', () => {
    const words = 'The quick brown fox jumps over the lazy dog, again and again. '.repeat(5).trim();
    const pages = pagesOf(words, 20_000);
    expect(pages.map(({ text }) => text).join(' ')).toBe(words);
    expect(pages.every(({ text }) => text.length <= 84)).toBe(true);
    expect(pages.reduce((sum, { durationMs }) => sum + durationMs, 0)).toBeCloseTo(20_000);
    const [first, last] = [pages[0], pages.at(-1)];
    expect(first?.durationMs).toBeGreaterThan(last?.durationMs ?? Infinity);
  });

  it('divides a script without spaces after punctuation, with 42 characters on a page', () => {
    const sentence = '这个人正在屏幕上说话，';
    const pages = textsOf(sentence.repeat(8));
    expect(pages.join('')).toBe(sentence.repeat(8));
    expect(pages.every((page) => page.length <= 42 && page.endsWith('，'))).toBe(true);
  });

  it('divides a word that is longer than a page', () => {
    expect(textsOf(`so ${'x'.repeat(200)} on`)).toEqual([
      `so ${'x'.repeat(81)}`,
      'x'.repeat(84),
      `${'x'.repeat(35)} on`,
    ]);
  });

  it('bounds the length of the text and its time', () => {
    const pages = pagesOf('word '.repeat(100_000), Infinity);
    expect(pages.map(({ text }) => text).join(' ')).toHaveLength(499);
    expect(pages.reduce((sum, { durationMs }) => sum + durationMs, 0)).toBeCloseTo(600_000);
    expect(pagesOf('Hello', -5)).toEqual([{ text: 'Hello', durationMs: 0 }]);
  });
});
