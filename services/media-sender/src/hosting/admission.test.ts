import { describe, expect, it } from 'vitest';
import { Admission, type Paced } from './admission.js';

const PUNCTUAL: Paced = { packets: 0, late: 0 };
const SILENT = { onChange: () => {}, onBusy: () => {} };

describe('Admission', () => {
  it('closes when the event loop is late, and opens again only when it is calm', () => {
    let delayMs = 1;
    const changes: boolean[] = [];
    const admission = new Admission({
      onChange: (open) => changes.push(open),
      onBusy: () => {},
      used: () => 0.5,
      paced: () => PUNCTUAL,
      measure: () => delayMs,
    });
    for (const next of [2, 14, 16, 30, 12, 9, 7, 14]) {
      delayMs = next;
      admission.check();
    }
    expect(changes).toEqual([false, true]);
    expect(admission.open).toBe(true);
  });

  it('closes when packets leave late, and opens again only when next to none does', () => {
    let paced = PUNCTUAL;
    const admission = new Admission({ ...SILENT, used: () => 0.5, paced: () => paced, measure: () => 1 });
    const afterAnother = (packets: number, late: number) => {
      paced = { packets: paced.packets + packets, late: paced.late + late };
      admission.check();
      return admission.open;
    };
    expect(afterAnother(1000, 40)).toBe(true);
    expect(afterAnother(1000, 60)).toBe(false);
    expect(afterAnother(1000, 20)).toBe(false);
    expect(afterAnother(1000, 5)).toBe(true);
    expect(afterAnother(0, 0)).toBe(true);
  });

  it('stays open while it hosts so little that something else must be keeping it busy', () => {
    const late = { packets: 100, late: 100 };
    const admission = new Admission({ ...SILENT, used: () => 0.2, paced: () => late, measure: () => 100 });
    admission.check();
    expect(admission.open).toBe(true);
  });
});
