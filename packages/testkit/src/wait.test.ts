import { describe, expect, it } from 'vitest';
import { until, waitFor } from './wait.js';

describe('waitFor()', () => {
  it('returns the first answer that is neither undefined nor false', async () => {
    const answers = [undefined, false, 0] as const;
    let asked = 0;
    expect(await waitFor('an answer', () => answers[asked++])).toBe(0);
    expect(asked).toBe(3);
  });

  it('returns the first answer that the given condition accepts, and asks again after an error', async () => {
    let asked = 0;
    const count = () => {
      if (++asked === 1) throw new Error('not yet');
      return asked;
    };
    const isDone = (answer: number) => answer > 2;
    expect(await waitFor('more than 2', count, isDone)).toBe(3);
  });

  it('rejects with what was waited for and the last answer or error when the time is over', async () => {
    await expect(waitFor('a word', () => undefined, undefined, 5)).rejects.toThrow('not within 5 ms: a word');
    const isDone = () => false;
    await expect(waitFor('2', () => ({ n: 1 }), isDone, 5)).rejects.toThrow('last: {"n":1}');
    const fail = () => Promise.reject(new Error('refused'));
    await expect(waitFor('2', fail, undefined, 5)).rejects.toThrow('last: refused');
  });
});

describe('until()', () => {
  it('resolves once the condition holds', async () => {
    let asked = 0;
    await until(() => ++asked === 2);
    expect(asked).toBe(2);
  });
});
