import { describe, expect, it } from 'vitest';
import { Admission, type PacketCounts } from './admission.js';

const NOTHING_SENT: PacketCounts = { packets: 0, late: 0 };
const NO_CALLBACKS = { onChange: () => {}, onOverloaded: () => {} };

describe('Admission', () => {
  it('closes when the event loop is late, and opens again below a lower threshold', () => {
    let delayMs = 1;
    const changes: boolean[] = [];
    const admission = new Admission({
      onChange: (open) => changes.push(open),
      onOverloaded: () => {},
      utilization: () => 0.5,
      packetCounts: () => NOTHING_SENT,
      measure: () => delayMs,
    });
    for (const next of [2, 14, 16, 30, 12, 9, 7, 14]) {
      delayMs = next;
      admission.check();
    }
    expect(changes).toEqual([false, true]);
    expect(admission.open).toBe(true);
  });

  it('closes when packets leave late, and opens again below a lower threshold', () => {
    let packetCounts = NOTHING_SENT;
    const admission = new Admission({
      ...NO_CALLBACKS,
      utilization: () => 0.5,
      packetCounts: () => packetCounts,
      measure: () => 1,
    });
    const afterAnother = (packets: number, late: number) => {
      packetCounts = { packets: packetCounts.packets + packets, late: packetCounts.late + late };
      admission.check();
      return admission.open;
    };
    expect(afterAnother(1000, 40)).toBe(true);
    expect(afterAnother(1000, 60)).toBe(false);
    expect(afterAnother(1000, 20)).toBe(false);
    expect(afterAnother(1000, 5)).toBe(true);
    expect(afterAnother(0, 0)).toBe(true);
  });

  it('stays open while the process hosts too little to be the cause of the load', () => {
    const late = { packets: 100, late: 100 };
    const admission = new Admission({
      ...NO_CALLBACKS,
      utilization: () => 0.2,
      packetCounts: () => late,
      measure: () => 100,
    });
    admission.check();
    expect(admission.open).toBe(true);
  });
});
