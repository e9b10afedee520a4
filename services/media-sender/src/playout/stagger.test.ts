import { describe, expect, it } from 'vitest';
import { Stagger } from './stagger.js';

const STEP_MS = 20 / 3;

describe('Stagger', () => {
  const countsOf = (phases: readonly number[]) =>
    [0, 1, 2].map((phase) => phases.filter((taken) => taken === phase).length);

  it('spreads sessions that start together over all 20 ms', () => {
    const stagger = new Stagger();
    const taken = Array.from({ length: 100 }, () => stagger.take(1000.4));
    const counts = countsOf(taken.map(({ phase }) => phase));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
    for (const { delayMs } of taken) {
      expect(delayMs).toBeGreaterThanOrEqual(0);
      expect(delayMs).toBeLessThanOrEqual(20);
    }
  });

  it('spreads sessions that start one after the other over all 20 ms, and delays none by more than two phases', () => {
    const stagger = new Stagger();
    const taken = Array.from({ length: 40 }, (_, i) => stagger.take(1000 + 3.7 * i));
    const counts = countsOf(taken.map(({ phase }) => phase));
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(2);
    for (const { delayMs } of taken) expect(delayMs).toBeLessThanOrEqual(2 * STEP_MS);
  });

  it('lets sessions start at multiples of a third of 20 ms, on which the frames of 30 a second fall, too', () => {
    const stagger = new Stagger();
    for (let i = 0; i < 50; i++) {
      const nowMs = 123_456.7 + 9.1 * i;
      const { delayMs, phase } = stagger.take(nowMs);
      const step = (nowMs + delayMs) / STEP_MS;
      expect(step).toBeCloseTo(Math.round(step), 6);
      expect(Math.round(step) % 3).toBe(phase);
    }
  });

  it('uses the phase of a session that has ended again', () => {
    const stagger = new Stagger();
    const phases = [0, 1, 2].map((i) => stagger.take(1000 + i * STEP_MS).phase);
    expect(new Set(phases).size).toBe(3);
    stagger.release(1);
    expect(stagger.take(1002).phase).toBe(1);
  });
});
