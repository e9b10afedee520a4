import { createLogger } from '@humancast/shared';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Outbox } from './outbox.js';

describe('Outbox', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const setUp = () => {
    const written: string[] = [];
    const outbox = new Outbox(createLogger('test', 'silent'), () => written.push('rejected'));
    const write = (name: string, answers: (boolean | Error)[]) =>
      outbox.add(async () => {
        const answer = answers.shift() ?? true;
        if (answer instanceof Error) throw answer;
        written.push(name);
        return answer;
      });
    return { written, outbox, write };
  };

  it('writes everything in order, including what failed at first', async () => {
    const { written, outbox, write } = setUp();
    write('one', [new Error('connection lost'), new Error('OOM')]);
    write('two', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(written).toEqual(['one', 'two']);
    expect(await outbox.flush(0)).toBe(true);
  });

  it('keeps every report while writes fail, and drops optional writes beyond 1000 pending ones', async () => {
    const { written, outbox, write } = setUp();
    write('first', [new Error('MISCONF')]);
    for (let i = 0; i < 1500; i++) {
      outbox.addIfRoom(async () => {
        written.push('event');
        return true;
      });
    }
    for (let i = 0; i < 1500; i++) write('report', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(written.filter((name) => name === 'event')).toHaveLength(999);
    expect(written.filter((name) => name === 'report')).toHaveLength(1500);
    outbox.addIfRoom(async () => {
      written.push('later');
      return true;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(written.at(-1)).toBe('later');
  });

  it('writes nothing more after a write was rejected', async () => {
    const { written, write } = setUp();
    write('one', [false]);
    write('two', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(written).toEqual(['one', 'rejected']);
  });

  it('flush() ends after its timeout, and close() ends the retries', async () => {
    const { written, outbox, write } = setUp();
    write(
      'one',
      Array.from({ length: 100 }, () => new Error('connection lost')),
    );
    const flushed = outbox.flush(3000);
    await vi.advanceTimersByTimeAsync(3000);
    expect(await flushed).toBe(false);
    outbox.close();
    await vi.advanceTimersByTimeAsync(0);
    expect(await outbox.flush(0)).toBe(true);
    expect(written).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
