import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeTime } from '../../testing/fakes.js';
import { Scheduler, type Task } from './scheduler.js';

/** A task that runs every 10 ms and counts its runs. */
class Ticking implements Task {
  runs = 0;

  run(nowMs: number): number {
    this.runs++;
    return nowMs + 10;
  }
}

const failed = (error: unknown): never => {
  throw error;
};

describe('Scheduler', () => {
  it('runs every task at its absolute deadlines, never early, in order, with one timer', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            start: fc.double({ min: 0, max: 50, noNaN: true }),
            period: fc.double({ min: 3, max: 40, noNaN: true }),
          }),
          { minLength: 1, maxLength: 30 },
        ),
        (specs) => {
          const time = new FakeTime();
          const scheduler = new Scheduler(time, failed, time);
          const runs = specs.map(() => [] as number[]);
          specs.forEach(({ start, period }, i) => {
            let due = time.now + start;
            scheduler.add(
              {
                run: (nowMs) => {
                  expect(nowMs).toBeGreaterThanOrEqual(due);
                  expect(nowMs - due).toBeLessThan(2.001);
                  runs[i]?.push(nowMs);
                  due += period;
                  return due;
                },
              },
              due,
            );
          });
          time.advance(400);
          expect(time.pending).toBe(1);
          specs.forEach(({ start, period }, i) => {
            expect(runs[i]?.length).toBeGreaterThanOrEqual(Math.floor((396 - start) / period));
          });
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does not delay later deadlines after a late run', () => {
    const time = new FakeTime();
    const scheduler = new Scheduler(time, failed, time);
    const lateness: number[] = [];
    let due = 10;
    const task: Task = {
      run: (nowMs) => {
        lateness.push(nowMs - due);
        due += 20;
        return due;
      },
    };
    scheduler.add(task, due);
    time.advance(50);
    time.now += 55; // the event loop was blocked
    time.advance(200);
    expect(Math.max(...lateness)).toBeGreaterThan(20);
    expect(lateness.at(-1)).toBeLessThan(2);
  });

  it('stops a task that is cancelled or done, and continues after one that throws', () => {
    const time = new FakeTime();
    const errors: unknown[] = [];
    const scheduler = new Scheduler(time, (error) => errors.push(error), time);
    const cancelled = new Ticking();
    const steady = new Ticking();
    const cancel = scheduler.add(cancelled, 5);
    scheduler.add({ run: () => undefined }, 5);
    scheduler.add({ run: () => failed(new Error('broken')) }, 5);
    scheduler.add(steady, 5);
    time.advance(12);
    cancel();
    time.advance(100);
    expect(cancelled.runs).toBe(1);
    expect(steady.runs).toBeGreaterThan(8);
    expect(errors).toEqual([new Error('broken')]);
    expect(scheduler.size).toBe(1);
  });

  it('calls beforeTask before a task runs after the process was frozen', () => {
    const time = new FakeTime();
    const scheduler = new Scheduler(time, failed, time);
    const task = new Ticking();
    const cancel = scheduler.add(task, 5);
    scheduler.beforeTask = (nowMs) => {
      if (nowMs > 1000) cancel();
    };
    time.advance(50);
    const before = task.runs;
    time.now += 5000; // frozen by a signal, and continued
    time.advance(100);
    expect(task.runs).toBe(before);
  });

  it('calls beforeTask when the process was frozen in another task of the same round', () => {
    const time = new FakeTime();
    const scheduler = new Scheduler(time, failed, time);
    scheduler.add(
      {
        run: () => {
          time.now += 5000;
          return undefined;
        },
      },
      5,
    );
    const task = new Ticking();
    const cancel = scheduler.add(task, 5.1);
    scheduler.beforeTask = (nowMs) => {
      if (nowMs > 1000) cancel();
    };
    time.advance(50);
    expect(task.runs).toBe(0);
  });

  it('corks packets while the tasks of a round run, and lets none wait for longer than a millisecond', () => {
    const time = new FakeTime();
    const calls: string[] = [];
    const packets = { cork: () => calls.push('cork'), uncork: () => calls.push('uncork') };
    const scheduler = new Scheduler(time, failed, time, packets);
    const task = (name: string, tookMs = 0): Task => ({
      run: () => {
        calls.push(name);
        time.now += tookMs;
        return undefined;
      },
    });
    scheduler.add(task('a', 0.6), 4.1);
    scheduler.add(task('b', 0.6), 4.15);
    scheduler.add(task('c'), 4.2);
    scheduler.add(task('d'), 4.25);
    scheduler.add(task('later'), 15);
    time.advance(10);
    expect(calls).toEqual(['cork', 'a', 'b', 'uncork', 'cork', 'c', 'd', 'uncork']);
    time.advance(10);
    expect(calls.slice(8)).toEqual(['cork', 'later', 'uncork']);
  });

  it('uncorks packets after a task that throws', () => {
    const time = new FakeTime();
    const calls: string[] = [];
    const packets = { cork: () => calls.push('cork'), uncork: () => calls.push('uncork') };
    const scheduler = new Scheduler(time, () => calls.push('error'), time, packets);
    scheduler.add({ run: () => failed(new Error('broken')) }, 5);
    time.advance(10);
    expect(calls).toEqual(['cork', 'error', 'uncork']);
  });
});
