import { describe, expect, it } from 'vitest';
import { Stagger } from './stagger.js';

describe('Stagger', () => {
  const countsOf = (phases: readonly number[]) =>
    Array.from({ length: 20 }, (_, phase) => phases.filter((taken) => taken === phase).length);

  it('spreads sessions that start together over all 20 ms', () => {
    const stagger = new Stagger();
    const taken = Array.from({ length: 100 }, () => stagger.take(1000.4));
    const counts = countsOf(taken.map(({ phase }) => phase));
    expect(Math.max(...counts)).toBeLessThanOrEqual(6);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(4);
    for (const { delayMs } of taken) {
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(20);
    }
  });

  it('spreads sessions that start one after the other over all 20 ms, and delays none by more than 9 ms', () => {
    const stagger = new Stagger();
    const taken = Array.from({ length: 40 }, (_, i) => stagger.take(1000 + 3.7 * i));
    expect(Math.max(...countsOf(taken.map(({ phase }) => phase)))).toBeLessThanOrEqual(3);
    expect(new Set(taken.map(({ phase }) => phase)).size).toBe(20);
    for (const { delayMs } of taken) expect(delayMs).toBeLessThanOrEqual(9);
  });

  it('delays few sessions by at most 9 ms', () => {
    const stagger = new Stagger();
    for (let i = 0; i < 9; i++) expect(stagger.take(1000.4).delayMs).toBeLessThan(9);
  });

  it('uses the phase of a session that has ended again', () => {
    const stagger = new Stagger();
    const phases = Array.from({ length: 20 }, (_, i) => stagger.take(1000 + i).phase);
    expect(new Set(phases).size).toBe(20);
    stagger.release(7);
    expect(stagger.take(1002).phase).toBe(7);
  });
});
