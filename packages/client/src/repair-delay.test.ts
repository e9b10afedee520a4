import { describe, expect, it } from 'vitest';
import { RepairDelay } from './repair-delay.js';

/** Simulates seconds of a path with 220 packets per second. @returns The delay after each. */
function run(seconds: number, path: { loss: number; roundTripMs?: number }, delay = new RepairDelay(0), fromMs = 0) {
  return Array.from({ length: seconds }, (_, i) => {
    const lost = Math.round(220 * path.loss);
    delay.update({ received: 220 - lost, lost, roundTripMs: path.roundTripMs }, fromMs + (i + 1) * 1000);
    return delay.delayMs;
  });
}

describe('RepairDelay', () => {
  it('requests no delay without loss', () => {
    expect(run(60, { loss: 0, roundTripMs: 300 }).every((ms) => ms === 0)).toBe(true);
  });

  it('requests as many round trips as the loss makes requests likely', () => {
    expect(run(5, { loss: 0.01, roundTripMs: 100 }).at(-1)).toBe(190);
    expect(run(5, { loss: 0.05, roundTripMs: 100 }).at(-1)).toBe(290);
    expect(run(5, { loss: 0.1, roundTripMs: 100 }).at(-1)).toBe(390);
  });

  it('assumes 100 ms per request on a short path, as browsers do', () => {
    expect(run(5, { loss: 0.05, roundTripMs: 20 }).at(-1)).toBe(210);
  });

  it('starts in the first second with a loss', () => {
    expect(run(1, { loss: 0.05, roundTripMs: 50 })[0]).toBe(240);
  });

  it('waits for one request on a long path, and for further ones up to 450 ms', () => {
    expect(run(5, { loss: 0.02, roundTripMs: 300 }).at(-1)).toBe(450);
    expect(run(5, { loss: 0.02, roundTripMs: 500 }).at(-1)).toBe(590);
  });

  it('never exceeds its limit', () => {
    expect(Math.max(...run(60, { loss: 0.1, roundTripMs: 3000 }))).toBe(700);
    expect(Math.max(...run(60, { loss: 0.2, roundTripMs: 500 }, new RepairDelay(0, { maxMs: 250 })))).toBe(250);
  });

  it('requests no delay for an outage, which retransmissions do not repair', () => {
    expect(Math.max(...run(10, { loss: 0.8, roundTripMs: 50 }))).toBe(0);
  });

  it('requests no delay if the round-trip time is unknown', () => {
    expect(Math.max(...run(10, { loss: 0.05 }))).toBe(0);
  });

  it('keeps the delay for 10 s on a clean path, then removes 10 ms per second', () => {
    const delay = new RepairDelay(0);
    run(10, { loss: 0.05, roundTripMs: 100 }, delay);
    const clean = run(60, { loss: 0, roundTripMs: 100 }, delay, 10_000);
    expect(clean.slice(0, 10).every((ms) => ms === 290)).toBe(true);
    expect(clean[19]).toBeCloseTo(190);
    expect(clean.at(-1)).toBe(0);
    for (const [i, ms] of clean.entries()) expect((clean[i - 1] ?? 290) - ms).toBeLessThanOrEqual(10.001);
  });

  it('removes only what is not needed when there is less loss', () => {
    const delay = new RepairDelay(0);
    run(10, { loss: 0.1, roundTripMs: 100 }, delay);
    const less = run(120, { loss: 0.02, roundTripMs: 100 }, delay, 10_000);
    expect(less.at(-1)).toBeGreaterThanOrEqual(290);
    expect(less.at(-1)).toBeLessThan(340);
  });

  it('starts with the delay of another connection', () => {
    expect(run(5, { loss: 0, roundTripMs: 100 }, new RepairDelay(0, { initialMs: 240 })).at(-1)).toBe(240);
  });

  it('does not count decreasing totals, as of late packets, as losses', () => {
    const delay = new RepairDelay(0);
    delay.update({ received: 220, lost: -5, roundTripMs: 50 }, 1000);
    expect(delay.delayMs).toBe(0);
  });
});
