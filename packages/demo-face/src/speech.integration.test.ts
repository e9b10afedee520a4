import { describe, expect, it } from 'vitest';
import { MAX_TEXT_LENGTH, SPEECH_SAMPLE_RATE, speak, splitClauses } from './speech.js';

describe('splitClauses()', () => {
  it('splits where a speaker pauses, and keeps punctuation', () => {
    expect(splitClauses('Hello, you. How are you?\nFine')).toEqual(['Hello,', 'you.', 'How are you?', 'Fine']);
  });

  it('does not split inside a number or a name', () => {
    expect(splitClauses('Version 2.5 of node.js')).toEqual(['Version 2.5 of node.js']);
  });

  it('omits clauses of punctuation only', () => {
    expect(splitClauses('... !')).toEqual([]);
  });
});

/** @returns The mean power between two positions. */
function power(pcm: Int16Array, fromSeconds: number, toSeconds: number): number {
  const part = pcm.subarray(fromSeconds * SPEECH_SAMPLE_RATE, toSeconds * SPEECH_SAMPLE_RATE);
  return part.reduce((total, sample) => total + sample ** 2, 0) / part.length;
}

describe('speak() with espeak-ng', () => {
  it('returns phonemes in order, within the audio', async () => {
    const { pcm, phonemes } = await speak('Bring your own model, and your own voice.');
    expect(phonemes.map(({ ipa }) => ipa).join('')).toMatch(/^b.*vɔɪs$/);
    let last = 0;
    for (const { startSeconds, endSeconds } of phonemes) {
      expect(startSeconds).toBeGreaterThanOrEqual(last);
      last = endSeconds;
    }
    expect(last).toBeLessThanOrEqual(pcm.length / SPEECH_SAMPLE_RATE);
  });

  it('times every written word, also those that are spoken as one', async () => {
    const { pcm, words } = await speak('Some of the viewers hear me. Others do not.');
    expect(words.map(({ text }) => text).join(' ')).toBe('Some of the viewers hear me. Others do not.');
    for (const [index, { startSeconds, endSeconds }] of words.entries()) {
      expect(endSeconds).toBeGreaterThan(startSeconds);
      expect(startSeconds).toBeGreaterThanOrEqual(words[index - 1]?.startSeconds ?? 0);
    }
    // "Others" begins after a pause.
    const [end, start] = [words[5]?.endSeconds ?? 0, words[6]?.startSeconds ?? 0];
    expect(start - end).toBeGreaterThan(0.3);
    expect(power(pcm, end + 0.05, start)).toBeLessThan(power(pcm, start, start + 0.2) / 100);
    expect(words.at(-1)?.endSeconds).toBeLessThanOrEqual(pcm.length / SPEECH_SAMPLE_RATE);
  });

  it('is loud in vowels and silent in the pause between clauses', async () => {
    const { pcm, phonemes } = await speak('Far. Far.');
    const [, vowel, consonantAfterPause] = phonemes;
    if (!vowel || !consonantAfterPause) throw new Error('too few phonemes');
    const inVowel = power(pcm, vowel.startSeconds, vowel.endSeconds);
    const inPause = power(pcm, consonantAfterPause.startSeconds - 0.15, consonantAfterPause.startSeconds - 0.02);
    expect(inVowel).toBeGreaterThan(1000 * inPause);
  });

  it('finds the start of a word after a drawn-out one', async () => {
    // "s" has its power above 4 kHz, where "oh" has none, so sign changes are counted.
    const { pcm, phonemes } = await speak('oh sun');
    const s = phonemes.find(({ ipa }) => ipa === 's');
    if (!s) throw new Error('no "s"');
    const signChanges = (from: number) => {
      const part = pcm.subarray(from * SPEECH_SAMPLE_RATE, (from + 0.03) * SPEECH_SAMPLE_RATE);
      return part.reduce(
        (count, sample, index) => count + (index > 0 && sample < 0 !== (part[index - 1] ?? 0) < 0 ? 1 : 0),
        0,
      );
    };
    expect(signChanges(s.startSeconds + 0.03)).toBeGreaterThan(3 * signChanges(s.startSeconds - 0.06));
  });

  it('times all phonemes if fewer or more words are spoken than written', async () => {
    const { pcm, phonemes } = await speak('some of the 520 viewers');
    expect(phonemes.at(-1)?.ipa).toBe('z');
    expect(phonemes.at(-1)?.endSeconds).toBeGreaterThan(pcm.length / SPEECH_SAMPLE_RATE - 0.3);
  });

  it('treats markup as text', async () => {
    await expect(speak('a <break time="9s"/> & b')).resolves.toMatchObject({ phonemes: expect.any(Array) });
  });

  it('rejects empty and overlong texts', async () => {
    await expect(speak(' … ')).rejects.toThrow(RangeError);
    await expect(speak('a'.repeat(MAX_TEXT_LENGTH + 1))).rejects.toThrow(RangeError);
  });
});
