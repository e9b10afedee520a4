import { describe, expect, it } from 'vitest';
import { bySize, RungShedder } from './rung-shedder.js';

const LADDER = [
  { codec: 'vp8', width: 1280, height: 720, bitrateBps: 1_500_000 },
  { codec: 'vp8', width: 640, height: 360, bitrateBps: 500_000 },
  { codec: 'vp8', width: 320, height: 180, bitrateBps: 150_000 },
] as const;
/** Encoding time of each rendition, as a share of what all of them take. */
const SHARES = [0.62, 0.25, 0.13];
const FRAME_MS = 1000 / 30;
const GOP = 30;

/** A producer that keeps real time, and a machine that takes a share of it for all renditions. */
class Push {
  readonly shedder = new RungShedder(LADDER);
  active: readonly boolean[] = this.shedder.next;
  nowMs = 0;
  worstLagMs = 0;
  raised = 0;
  #lagMs = 0;
  #frame = 0;

  run(seconds: number, share: number | ((active: readonly boolean[]) => number)): this {
    for (let i = 0; i < seconds * 30; i++) {
      if (this.#frame++ % GOP === 0) this.#beginGop();
      const cost = SHARES.reduce((sum, each, rung) => sum + (this.active[rung] ? each : 0), 0);
      const busyMs = FRAME_MS * (typeof share === 'number' ? share * cost : share(this.active));
      this.#lagMs = Math.max(0, this.#lagMs + busyMs - FRAME_MS);
      this.worstLagMs = Math.max(this.worstLagMs, this.#lagMs);
      this.nowMs += this.#lagMs > 0 ? busyMs : FRAME_MS;
      this.shedder.spent(busyMs, FRAME_MS, this.nowMs);
    }
    return this;
  }

  get lagMs(): number {
    return this.#lagMs;
  }

  #beginGop(): void {
    const active = this.shedder.beginGop(this.nowMs);
    if (active.filter(Boolean).length > this.active.filter(Boolean).length) this.raised++;
    this.active = active;
  }
}

describe('RungShedder', () => {
  it('encodes everything while there is time', () => {
    expect(new Push().run(60, 0.85)).toMatchObject({ active: [true, true, true], worstLagMs: 0 });
  });

  it('drops the middle rendition first, before the push falls behind', () => {
    expect(new Push().run(10, 0.97)).toMatchObject({ active: [true, false, true], worstLagMs: 0 });
  });

  it('drops the largest when that is not enough, and keeps real time', () => {
    const push = new Push().run(20, 2);
    expect(push).toMatchObject({ active: [false, true, true], lagMs: 0 });
    expect(push.worstLagMs).toBeLessThan(1100);
  });

  it('always keeps the smallest of each codec', () => {
    expect(new Push().run(60, 6)).toMatchObject({ active: [false, false, true], lagMs: 0 });
    expect(new Push().run(20, 60).active).toEqual([false, false, true]);
    const shedder = new RungShedder([...LADDER, { ...LADDER[1], codec: 'h264' }]);
    for (let i = 0; i < 300; i++) shedder.spent(10 * FRAME_MS, FRAME_MS, i * FRAME_MS);
    expect(shedder.beginGop(0)).toEqual([false, false, true, true]);
  });

  it('takes renditions back step by step when the machine is free again, not at once', () => {
    const push = new Push().run(60, 6);
    expect(push.run(4, 0.4).active).toEqual([false, false, true]);
    const steps = new Set<string>();
    for (let second = 0; second < 60; second++) steps.add(push.run(1, 0.4).active.join());
    expect([...steps]).toEqual(['false,false,true', 'false,true,true', 'true,false,true', 'true,true,true']);
    expect(push.lagMs).toBe(0);
  });

  it('tries less and less often if a rendition cannot be held', () => {
    // There seems to be room for all of them, and is not.
    const push = new Push().run(600, (active) => (active.every(Boolean) ? 1.05 : 0.55));
    expect(push.raised).toBeGreaterThan(2);
    expect(push.raised).toBeLessThan(10);
    expect(push.lagMs).toBeLessThan(500);
  });

  it('ignores a single slow frame', () => {
    const push = new Push().run(5, 0.5);
    push.shedder.spent(300, FRAME_MS, push.nowMs);
    expect(push.run(5, 0.5).active).toEqual([true, true, true]);
  });

  it('has nothing to drop of a single rendition', () => {
    const shedder = new RungShedder([LADDER[0]]);
    for (let i = 0; i < 100; i++) shedder.spent(5 * FRAME_MS, FRAME_MS, i * FRAME_MS);
    expect(shedder.next).toEqual([true]);
  });
});

it('bySize() puts the largest bitrate first, in any order', () => {
  expect(bySize([LADDER[2], LADDER[0], LADDER[1]])).toEqual([1, 2, 0]);
});
