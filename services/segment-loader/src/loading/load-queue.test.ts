import { describe, expect, it } from 'vitest';
import { LoadQueue } from './load-queue.js';

const never = new AbortController().signal;

/** A load that the test completes. */
function load(log: string[], name: string) {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const run = () => {
    log.push(name);
    return promise;
  };
  return { run, finish: () => resolve(name), fail: () => reject(new Error(name)) };
}

describe('LoadQueue', () => {
  it('runs a limited number of loads at once, uploads before library files, in order', async () => {
    const queue = new LoadQueue(2);
    const log: string[] = [];
    const loads = ['l1', 'l2', 'l3', 'u1', 'u2'].map((name) => load(log, name));
    const done = loads.map(({ run }, i) => queue.run(i < 3 ? 'library' : 'upload', run, never));
    await Promise.resolve();
    expect(log).toEqual(['l1', 'l2']);
    expect([queue.running, queue.waiting('library'), queue.waiting('upload')]).toEqual([2, 1, 2]);
    loads[0]?.finish();
    await done[0];
    await Promise.resolve();
    expect(log).toEqual(['l1', 'l2', 'u1']);
    for (const { finish } of loads) finish();
    expect(await Promise.all(done)).toEqual(['l1', 'l2', 'l3', 'u1', 'u2']);
    expect(log).toEqual(['l1', 'l2', 'u1', 'u2', 'l3']);
    expect(queue.running).toBe(0);
  });

  it('runs an idle clip before everything else that waits', async () => {
    const queue = new LoadQueue(1);
    const log: string[] = [];
    const lanes = ['library', 'library', 'upload', 'idle'] as const;
    const loads = lanes.map((lane, i) => load(log, `${lane} ${i}`));
    const done = loads.map(({ run }, i) => queue.run(lanes[i] ?? 'library', run, never));
    for (const { finish } of loads) finish();
    await Promise.all(done);
    expect(log).toEqual(['library 0', 'idle 3', 'upload 2', 'library 1']);
  });

  it('continues after a load that fails', async () => {
    const queue = new LoadQueue(1);
    const [bad, good] = [load([], 'bad'), load([], 'good')];
    const results = [queue.run('upload', bad.run, never), queue.run('upload', good.run, never)];
    bad.fail();
    good.finish();
    await expect(results[0]).rejects.toThrow('bad');
    expect(await results[1]).toBe('good');
  });

  it('removes a load that is canceled while it waits', async () => {
    const queue = new LoadQueue(1);
    const log: string[] = [];
    const first = load(log, 'first');
    const running = queue.run('upload', first.run, never);
    const abort = new AbortController();
    const waiting = queue.run('upload', load(log, 'second').run, abort.signal);
    abort.abort(new Error('given up'));
    await expect(waiting).rejects.toThrow('given up');
    expect(queue.waiting('upload')).toBe(0);
    first.finish();
    await running;
    expect(log).toEqual(['first']);
    await expect(queue.run('upload', first.run, abort.signal)).rejects.toThrow('given up');
  });
});
