import { describe, expect, it } from 'vitest';
import { Admission } from './admission.js';

describe('Admission', () => {
  it('closes when the event loop is late, and opens again only when it is calm', () => {
    let delayMs = 1;
    const changes: boolean[] = [];
    const admission = new Admission({
      onChange: (open) => changes.push(open),
      used: () => 0.5,
      measure: () => delayMs,
    });
    for (const next of [2, 14, 16, 30, 12, 9, 7, 14]) {
      delayMs = next;
      admission.check();
    }
    expect(changes).toEqual([false, true]);
    expect(admission.open).toBe(true);
  });

  it('stays open while it hosts so little that something else must be keeping it busy', () => {
    const admission = new Admission({ onChange: () => {}, used: () => 0.2, measure: () => 100 });
    admission.check();
    expect(admission.open).toBe(true);
  });
});
