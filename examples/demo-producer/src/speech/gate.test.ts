import { describe, expect, it } from 'vitest';
import { Gate } from './gate.js';

const { signal } = new AbortController();
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('Gate', () => {
  it('pass() admits waiting callers in order as others leave', async () => {
    const gate = new Gate(2);
    const inside: string[] = [];
    const leave = new Map<string, () => void>();
    const visits = ['a', 'b', 'c', 'd'].map((name) =>
      gate.pass(signal, () => {
        inside.push(name);
        return new Promise<void>((resolve) => leave.set(name, resolve));
      }),
    );
    await turn();
    expect(inside).toEqual(['a', 'b']);
    leave.get('b')?.();
    await turn();
    expect(inside).toEqual(['a', 'b', 'c']);
    leave.get('c')?.();
    leave.get('a')?.();
    await turn();
    leave.get('d')?.();
    await Promise.all(visits);
    expect(await gate.pass(signal, async () => 'free')).toBe('free');
  });

  it('pass() skips callers that gave up, and admits the next after a failure', async () => {
    const gate = new Gate(1);
    const work = Promise.withResolvers<void>();
    const failing = gate.pass(signal, () => work.promise);
    const abort = new AbortController();
    const impatient = gate.pass(abort.signal, () => expect.unreachable('it had given up'));
    const patient = gate.pass(signal, async () => 'my turn');
    abort.abort(new Error('enough'));
    await expect(impatient).rejects.toThrow('enough');
    work.reject(new Error('broken'));
    await expect(failing).rejects.toThrow('broken');
    expect(await patient).toBe('my turn');
    await expect(gate.pass(abort.signal, async () => {})).rejects.toThrow('enough');
  });
});
