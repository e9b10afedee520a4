import { describe, expect, it } from 'vitest';
import { mediaFile } from '../../testing/media-file.js';
import { Settling } from './settling.js';

const NOW = 2_000_000;

describe('Settling', () => {
  it('accepts a file at once if it was last changed long ago', () => {
    const file = mediaFile({ changedMs: NOW - 1000, modifiedMs: NOW - 5000 });
    expect(new Settling(1000).settled([file], NOW).has(file)).toBe(true);
  });

  it('waits while a file grows, even if a copying tool has set an old date', () => {
    const settling = new Settling(1000);
    const copy = (sizeBytes: number, changedMs: number) => mediaFile({ sizeBytes, changedMs, modifiedMs: 5 });
    const first = copy(10, NOW);
    expect(settling.settled([first], NOW).size).toBe(0);
    expect(settling.settled([copy(20, NOW + 900)], NOW + 900).size).toBe(0);
    const whole = copy(20, NOW + 900);
    expect(settling.settled([whole], NOW + 1900).has(whole)).toBe(true);
  });

  it('relies on its own observations if the file dates lie in the future', () => {
    const settling = new Settling(1000);
    const file = mediaFile({ changedMs: NOW + 1e9, modifiedMs: NOW + 1e9 });
    expect(settling.settled([file], NOW).size).toBe(0);
    expect(settling.settled([file], NOW + 999).size).toBe(0);
    expect(settling.settled([file], NOW + 1000).size).toBe(1);
  });

  it('starts over with a file that disappeared and returned', () => {
    const settling = new Settling(1000);
    const file = mediaFile({ changedMs: NOW + 1e9, modifiedMs: NOW + 1e9 });
    settling.settled([file], NOW);
    settling.settled([], NOW + 500);
    expect(settling.settled([file], NOW + 1200).size).toBe(0);
  });
});
