import { describe, expect, it } from 'vitest';
import { HeldTime } from './held-time.js';

describe('HeldTime', () => {
  it('grows while the producer is held back', () => {
    const held = new HeldTime(1000);
    expect(held.advance(1100, true)).toBe(100);
    expect(held.advance(3000, true)).toBe(2000);
  });

  it('shrinks as fast while it is not, down to 0', () => {
    const held = new HeldTime(0);
    held.advance(500, true);
    expect(held.advance(700, false)).toBe(300);
    expect(held.advance(5000, false)).toBe(0);
    expect(held.advance(5100, true)).toBe(100);
  });

  it('stays short for a slow producer that is held back now and then', () => {
    const held = new HeldTime(0);
    let longestMs = 0;
    for (let tick = 1; tick <= 1000; tick++) longestMs = Math.max(longestMs, held.advance(tick * 100, tick % 3 === 0));
    expect(longestMs).toBe(100);
  });
});
