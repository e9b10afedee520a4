import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { fairShare, type Load, Placement } from './placement.js';

const load = (taken: number, capacity: number, otherUse = 0): Load => ({ taken, capacity, otherUse });
const one = (capacity: number, otherUse = 0) => ({ capacity, otherUse });

describe('fairShare()', () => {
  it('allows a sender a tenth of its capacity more than the least-loaded sender', () => {
    expect(fairShare(one(40), [load(10, 40)])).toBe(14);
    expect(fairShare(one(40), [load(30, 40), load(0, 40)])).toBe(4);
  });

  it('compares utilization, so that a larger sender takes more sessions', () => {
    expect(fairShare(one(80), [load(10, 20)])).toBe(48);
  });

  it('weighs sessions and viewers by their part of the capacity', () => {
    expect(fairShare(one(40), [load(0, 40, 0.5)])).toBe(24);
    expect(fairShare(one(40, 0.25), [load(20, 40)])).toBe(14);
    expect(fairShare(one(500, 0.5), [load(0, 500)])).toBeLessThan(0);
  });

  it('ignores senders that are full, and allows the full capacity if there are no others', () => {
    expect(fairShare(one(40), [load(5, 5)])).toBe(40);
    expect(fairShare(one(40), [])).toBe(40);
  });
});

describe('Placement', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  function place({ others = [] as Load[], waiting = 0, taken = 0 }) {
    const state = { others, waiting, taken, published: 0, changes: [] as boolean[] };
    const placement: Placement = new Placement({
      capacity: 40,
      taken: () => state.taken,
      otherUse: () => 0,
      others: async () => state.others,
      waiting: async () => state.waiting,
      publish: async () => {
        state.published++;
      },
      onChange: () => state.changes.push(placement.open),
      intervalMs: 250,
    });
    placement.start();
    return { placement, state };
  }

  it('leaves sessions to a clearly less loaded sender until that one has caught up', async () => {
    const { placement, state } = place({ taken: 10, others: [load(0, 40)] });
    await vi.advanceTimersByTimeAsync(0);
    expect(placement.open).toBe(false);
    state.others = [load(8, 40)];
    await vi.advanceTimersByTimeAsync(250);
    expect(state.changes).toEqual([false, true]);
    placement.stop();
  });

  it('stops in the middle of a burst, publishes its load, and continues once the others have caught up', async () => {
    const { placement, state } = place({ others: [load(0, 40)], waiting: 20 });
    await vi.advanceTimersByTimeAsync(0);
    for (; placement.open; placement.changed()) state.taken++;
    expect(state.taken).toBe(4);
    state.others = [load(4, 40)];
    await vi.advanceTimersByTimeAsync(20);
    expect(state.published).toBe(1);
    expect(placement.open).toBe(true);
    placement.stop();
  });

  it('takes sessions one at a time that a dead or stuck sender leaves waiting', async () => {
    const { placement, state } = place({ taken: 10, others: [load(0, 40)] });
    await vi.advanceTimersByTimeAsync(0);
    expect(placement.open).toBe(false);
    state.waiting = 2;
    await vi.advanceTimersByTimeAsync(250 + 3 * 20);
    expect(placement.open).toBe(true);
    state.taken++;
    placement.changed();
    expect(placement.open).toBe(false);
    await vi.advanceTimersByTimeAsync(20);
    expect(placement.open).toBe(true);
    placement.stop();
  });

  it('does not poll more often because sessions wait while it is full', async () => {
    const others = vi.fn(async () => []);
    const placement = new Placement({
      capacity: 2,
      taken: () => 2,
      otherUse: () => 0,
      others,
      waiting: async () => 5,
      publish: async () => {},
      onChange: () => {},
      intervalMs: 250,
    });
    placement.start();
    await vi.advanceTimersByTimeAsync(1000);
    expect(others).toHaveBeenCalledTimes(5);
    placement.stop();
  });
});
