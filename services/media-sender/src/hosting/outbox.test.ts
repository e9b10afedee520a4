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
    const said: string[] = [];
    const outbox = new Outbox(createLogger('test', 'silent'), () => said.push('refused'));
    const write = (name: string, answers: (boolean | Error)[]) =>
      outbox.add(async () => {
        const answer = answers.shift() ?? true;
        if (answer instanceof Error) throw answer;
        said.push(name);
        return answer;
      });
    return { said, outbox, write };
  };

  it('says everything in order, also what could not be said at first', async () => {
    const { said, outbox, write } = setUp();
    write('one', [new Error('connection lost'), new Error('OOM')]);
    write('two', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(said).toEqual(['one', 'two']);
    expect(await outbox.flush(0)).toBe(true);
  });

  it('keeps every report while nothing can be written, and leaves out what can be missed beyond 1000', async () => {
    const { said, outbox, write } = setUp();
    write('first', [new Error('MISCONF')]);
    for (let i = 0; i < 1500; i++) {
      outbox.addIfRoom(async () => {
        said.push('event');
        return true;
      });
    }
    for (let i = 0; i < 1500; i++) write('report', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(said.filter((name) => name === 'event')).toHaveLength(999);
    expect(said.filter((name) => name === 'report')).toHaveLength(1500);
    outbox.addIfRoom(async () => {
      said.push('later');
      return true;
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(said.at(-1)).toBe('later');
  });

  it('says nothing more once it was refused', async () => {
    const { said, write } = setUp();
    write('one', [false]);
    write('two', []);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(said).toEqual(['one', 'refused']);
  });

  it('is waited for only so long, and stops trying when it is closed', async () => {
    const { said, outbox, write } = setUp();
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
    expect(said).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
