import { describe, expect, it } from 'vitest';
import { FULL_PACE, HARD_FAULTS } from './hard-faults.ts';
import { type FaultName, plan } from './plan.ts';

const NAMES = Object.keys(HARD_FAULTS) as FaultName[];

function names(seed: number, steps: number): string[][] {
  const generator = plan(seed, NAMES, FULL_PACE);
  return Array.from({ length: steps }, () =>
    generator.next().value.faults.map(({ fault, afterMs }) => `${fault.name} after ${afterMs}`),
  );
}

describe('plan()', () => {
  it('draws the same steps for the same seed, and others for another seed', () => {
    expect(names(7, 60)).toEqual(names(7, 60));
    expect(names(8, 60)).not.toEqual(names(7, 60));
  });

  it('includes steps with one fault and steps with two', () => {
    const sizes = names(1, 100).map(({ length }) => length);
    expect(new Set(sizes)).toEqual(new Set([1, 2]));
  });

  it('draws every kind once before repeating any', () => {
    const drawn = names(3, NAMES.length).flat();
    const first = drawn.slice(0, NAMES.length).map((name) => name.replaceAll(/-?\d[\d.]*/g, 'N'));
    expect(first.filter((name) => name.includes('restart')).length).toBeGreaterThan(2);
    expect(drawn.length).toBeGreaterThan(NAMES.length);
  });

  it('draws pauses longer than the longest timer that ends a session or a connection (15 s)', () => {
    const pauses = names(5, 200)
      .flat()
      .flatMap((name) => /paused for (\d+)/.exec(name)?.[1] ?? []);
    expect(pauses.length).toBeGreaterThan(20);
    expect(Math.min(...pauses.map(Number))).toBeGreaterThanOrEqual(20);
  });
});
