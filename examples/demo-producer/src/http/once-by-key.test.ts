import { describe, expect, it } from 'vitest';
import { OnceByKey } from './once-by-key.js';

const command = (key: string, fingerprint = 'a') => ({ key, fingerprint, ttlMs: 60_000 });

describe('OnceByKey', () => {
  it('run() acts once for each key and scope, and gives every caller the same answer', async () => {
    const once = new OnceByKey<number>();
    let done = 0;
    const act = async () => ++done;
    expect(await Promise.all([once.run(command('k'), 's', act), once.run(command('k'), 's', act)])).toEqual([1, 1]);
    expect(await once.run(command('k'), 'other', act)).toBe(2);
    expect(await once.run(undefined, 's', act)).toBe(3);
    expect(() => once.run(command('k', 'b'), 's', act)).toThrow('Idempotency-Key');
  });

  it('run() repeats a command that failed', async () => {
    const once = new OnceByKey<number>();
    await expect(once.run(command('k'), 's', () => Promise.reject(new Error('busy')))).rejects.toThrow('busy');
    expect(await once.run(command('k'), 's', async () => 7)).toBe(7);
  });

  it('run() forgets the oldest of more than 1000 commands', async () => {
    const once = new OnceByKey<number>();
    for (let i = 0; i <= 1000; i++) await once.run(command(`k${i}`), 's', async () => i);
    expect(await once.run(command('k1000'), 's', async () => -1)).toBe(1000);
    expect(await once.run(command('k0'), 's', async () => -1)).toBe(-1);
  });
});
