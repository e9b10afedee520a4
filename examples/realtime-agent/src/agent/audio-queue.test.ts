import { describe, expect, it } from 'vitest';
import { AudioQueue } from './audio-queue.js';

const pcm = (length: number, value = 1) => new Int16Array(length).fill(value);

describe('AudioQueue', () => {
  it('cuts what arrives into equal pieces, and pads the last one', async () => {
    const queue = new AudioQueue(1000, 10);
    queue.push('item', 0, pcm(3, 1));
    queue.push('item', 0, pcm(3, 2));
    queue.end();
    expect([...((await queue.take(4)) ?? [])]).toEqual([1, 1, 1, 2]);
    expect([...((await queue.take(4)) ?? [])]).toEqual([2, 2, 0, 0]);
    expect(await queue.take(4)).toBeUndefined();
  });

  it('waits for what is missing', async () => {
    const queue = new AudioQueue(1000, 10);
    const any = queue.any();
    queue.push('item', 0, pcm(2));
    expect(await any).toBe(true);
    const taken = queue.take(4);
    queue.push('item', 0, pcm(2));
    expect(await taken).toHaveLength(4);
    const none = new AudioQueue(1000, 10);
    const nothing = none.any();
    none.end();
    expect(await nothing).toBe(false);
  });

  it('rejects audio beyond its limit, and after its end', () => {
    const queue = new AudioQueue(1000, 1);
    expect(queue.push('item', 0, pcm(1000))).toBe(true);
    expect(queue.push('item', 0, pcm(1))).toBe(false);
    const over = new AudioQueue(1000, 1);
    over.end();
    expect(over.push('item', 0, pcm(1))).toBe(false);
  });

  it('tells which items were heard in part or not at all', () => {
    const queue = new AudioQueue(1000, 10);
    queue.push('first', 0, pcm(400));
    queue.push('second', 1, pcm(600));
    expect(queue.cutAt(1000, true)).toEqual([]);
    expect(queue.cutAt(700.9, true)).toEqual([{ item: 'second', contentIndex: 1, heardMs: 300 }]);
    expect(queue.cutAt(0, true).map(({ item, heardMs }) => [item, heardMs])).toEqual([
      ['first', 0],
      ['second', 0],
    ]);
    // The model was still speaking: it may have said more than has arrived.
    expect(queue.cutAt(1000, false)).toEqual([{ item: 'second', contentIndex: 1, heardMs: 600 }]);
  });
});
