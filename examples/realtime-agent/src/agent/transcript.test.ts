import { describe, expect, it } from 'vitest';
import { Transcript } from './transcript.js';

describe('Transcript', () => {
  it('gives each sentence the audio that arrives until the next one begins, or the answer ends', () => {
    const transcript = new Transcript();
    transcript.add('Hello! ', 0);
    expect(transcript.take()).toEqual([]);
    transcript.add('How are ', 800);
    transcript.add('you?', 1100);
    expect(transcript.take()).toEqual([{ text: 'Hello!', atMs: 0, untilMs: 800 }]);
    expect(transcript.take()).toEqual([]);
    expect(transcript.take(2000)).toEqual([{ text: 'How are you?', atMs: 800, untilMs: 2000 }]);
  });

  it('ends a piece with a word, and a long one before its sentence ends', () => {
    const transcript = new Transcript();
    const words = Array.from({ length: 40 }, (_, i) => [` wo`, `rd${i}`]).flat();
    for (const [i, delta] of words.entries()) transcript.add(delta, 100 * i);
    const pieces = transcript.take(8000);
    expect(pieces.length).toBeGreaterThan(2);
    expect(pieces.map(({ text }) => text).join(' ')).toBe(words.join('').trim());
    for (const { text } of pieces) expect(text).toMatch(/^word\d+( word\d+)*$/);
    expect(pieces[0]?.atMs).toBe(0);
    expect(pieces.slice(1).map(({ atMs }) => atMs)).toEqual(pieces.slice(0, -1).map(({ untilMs }) => untilMs));
    expect(pieces.at(-1)?.untilMs).toBe(8000);
  });

  it('keeps what arrives without audio in between together, in parts that a push takes', () => {
    const transcript = new Transcript();
    for (let i = 0; i < 100; i++) transcript.add('A sentence. ', 0);
    const pieces = transcript.take(12_000);
    expect(pieces.map(({ text }) => text).join(' ')).toBe('A sentence. '.repeat(100).trim());
    for (const { text } of pieces) expect(text.length).toBeLessThanOrEqual(500);
    expect([pieces[0]?.atMs, pieces.at(-1)?.untilMs]).toEqual([0, 12_000]);
    transcript.add('猫'.repeat(700), 0);
    expect(transcript.take(1000).map(({ text }) => text.length)).toEqual([500, 200]);
  });

  it('ignores spaces, and gives a word after the last audio the shortest time', () => {
    const transcript = new Transcript();
    transcript.add('  ', 0);
    expect(transcript.take(1000)).toEqual([]);
    transcript.add('Bye.', 1000);
    expect(transcript.take(1000)).toEqual([{ text: 'Bye.', atMs: 1000, untilMs: 1001 }]);
  });
});
