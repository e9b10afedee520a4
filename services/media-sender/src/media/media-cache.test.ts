import { type Rendition } from '@humancast/protocol';
import { newId, packGop } from '@humancast/shared';
import { describe, expect, it } from 'vitest';
import { MediaCache } from './media-cache.js';

const RENDITION: Rendition = { id: 'vp8', codec: 'vp8', width: 16, height: 16, bitrateBps: 1000, bytes: 50 };

/** A store whose reads the test completes. */
class SlowStore {
  readonly #waiting: (() => void)[] = [];
  reads = 0;

  async readGop(): Promise<Buffer> {
    this.reads++;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return packGop([{ data: Buffer.alloc(50), keyframe: true }]);
  }

  answer(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function cacheOf(store: SlowStore): MediaCache {
  const packetizerOf = () => () => ({ packets: [], bytes: 0 }) as never;
  return new MediaCache(store as never, { maxBytes: 1e6, packetizerOf });
}

describe('MediaCache', () => {
  it('forget() drops the parts of a deleted segment and keeps those of others', async () => {
    const store = new SlowStore();
    const cache = cacheOf(store);
    const [deleted, kept] = [newId('seg'), newId('seg')];
    const reads = [cache.gop(deleted, RENDITION, 0), cache.gop(kept, RENDITION, 0)];
    store.answer();
    await Promise.all(reads);
    const bytes = cache.bytes;
    cache.forget([deleted]);
    expect(cache.bytes).toBe(bytes / 2);
    await cache.gop(kept, RENDITION, 0);
    expect(store.reads).toBe(2);
    cache.clear();
    expect(cache.bytes).toBe(0);
  });

  it('forget() discards a part that is being read', async () => {
    const store = new SlowStore();
    const cache = cacheOf(store);
    const deleted = newId('seg');
    const read = cache.gop(deleted, RENDITION, 0);
    cache.forget([deleted]);
    store.answer();
    await read;
    expect(cache.bytes).toBe(0);
  });
});
