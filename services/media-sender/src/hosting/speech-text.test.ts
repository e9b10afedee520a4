import { describe, expect, it } from 'vitest';
import { SpeechText, textUntil } from './speech-text.js';

const CUES = [
  { text: 'one two', atMs: 0, untilMs: 1000 },
  { text: 'three four five six', atMs: 1000, untilMs: 3000 },
  { text: 'seven', atMs: 5000, untilMs: 6000 },
];
const [FIRST, SECOND, LAST] = CUES;

describe('SpeechText', () => {
  it('tells each cue once, when it has begun', () => {
    const text = new SpeechText();
    expect(text.advance(1, CUES, 0)).toEqual([FIRST]);
    expect(text.advance(1, CUES, 900)).toEqual([]);
    expect(text.advance(1, CUES, 1100)).toEqual([SECOND]);
    expect(text.advance(1, CUES, 9000)).toEqual([LAST]);
    expect(text.advance(1, CUES, 9000)).toEqual([]);
  });

  it('tells cues that came while the speech is played, and those of the next speech', () => {
    const text = new SpeechText();
    expect(text.advance(1, [], 500)).toEqual([]);
    expect(text.advance(1, CUES.slice(0, 1), 700)).toEqual([FIRST]);
    expect(text.advance(2, CUES, 10)).toEqual([FIRST]);
  });

  it('does not repeat what was heard from a previous host', () => {
    expect(new SpeechText().advance(1, CUES, 2500)).toEqual([SECOND]);
    expect(new SpeechText().advance(1, CUES, 5500)).toEqual([LAST]);
  });
});

describe('textUntil()', () => {
  it('returns the words whose last sound was played', () => {
    expect(textUntil(CUES, 0)).toBe('');
    expect(textUntil(CUES, 499)).toBe('');
    expect(textUntil(CUES, 500)).toBe('one');
    expect(textUntil(CUES, 2000)).toBe('one two three four');
    expect(textUntil(CUES, 4000)).toBe('one two three four five six');
    expect(textUntil(CUES, Number.POSITIVE_INFINITY)).toBe('one two three four five six seven');
  });
});
