import { createLogger, type MediaStore, newId, type SegmentManifest } from '@humancast/shared';
import { describe, expect, it, vi } from 'vitest';
import { FakeClip } from '../../testing/fakes.js';
import type { Availability } from '../playout/clip.js';
import { IdleLoop } from './idle-loop.js';
import { IdlePlaylists } from './idle-playlists.js';

const logger = createLogger('test', 'silent');

function manifestOf(id: string): SegmentManifest {
  return { id, state: 'complete', frames: 30 } as SegmentManifest;
}

/** A store with one avatar's idle playlist. */
function setUpLibrary() {
  const clock = { now: 0, nowMs: () => clock.now, wallMs: () => clock.now };
  const store = {
    ids: [newId('seg'), newId('seg')],
    broken: false,
    reads: 0,
    states: {} as Record<string, string[]>,
    async getIdleStates() {
      return store.states;
    },
    async getIdlePlaylist() {
      store.reads++;
      if (store.broken) throw new Error('connection lost');
      return store.ids;
    },
    async getManifest(id: string) {
      return manifestOf(id);
    },
  };
  return { clock, store, library: new IdlePlaylists(store as unknown as MediaStore, clock, logger) };
}

describe('IdlePlaylists', () => {
  it('returns the clips cyclically in playing order', async () => {
    const { store, library } = setUpLibrary();
    await library.open('demo');
    const [a, b] = store.ids;
    expect(library.after('demo', undefined)?.id).toBe(a);
    expect(library.after('demo', a)?.id).toBe(b);
    expect(library.after('demo', b)?.id).toBe(a);
  });

  it('picks up a changed playlist within seconds, and reads it once for all sessions', async () => {
    const { clock, store, library } = setUpLibrary();
    await library.open('demo');
    await library.open('demo');
    const before = store.reads;
    store.ids = [newId('seg')];
    clock.now += 2500;
    for (let i = 0; i < 20; i++) library.after('demo', undefined);
    await vi.waitFor(() => expect(library.after('demo', undefined)?.id).toBe(store.ids[0]));
    expect(store.reads).toBe(before + 1);
  });

  it('returns the clips of a state, or else those of the avatar', async () => {
    const { store, library } = setUpLibrary();
    const [a = ''] = store.ids;
    const thinking = [newId('seg'), newId('seg')];
    store.states = { thinking, empty: [] };
    await library.open('demo');
    expect(library.after('demo', undefined, 'thinking')?.id).toBe(thinking[0]);
    expect(library.after('demo', thinking[0], 'thinking')?.id).toBe(thinking[1]);
    expect(library.after('demo', thinking[1], 'empty')?.id).toBe(a);
    expect(['thinking', 'empty', 'idle'].map((state) => library.hasState('demo', state))).toEqual([true, false, false]);
    expect(library.find('demo', thinking[1] ?? '')?.id).toBe(thinking[1]);
  });

  it('keeps the known playlist while the store is empty or unreadable', async () => {
    const { clock, store, library } = setUpLibrary();
    await library.open('demo');
    const known = store.ids[0];
    for (const trouble of [() => (store.ids = []), () => (store.broken = true)]) {
      trouble();
      clock.now += 2500;
      const reads = store.reads;
      library.after('demo', undefined);
      expect(store.reads).toBe(reads + 1);
      await new Promise(setImmediate); // Until it has been read, or reading has failed.
      expect(library.after('demo', undefined)?.id).toBe(known);
    }
  });
});

describe('IdleLoop', () => {
  it('always has the next clip in memory before it is needed', () => {
    const opened: FakeClip[] = [];
    const loop = new IdleLoop(
      () => manifestOf(newId('seg')),
      ({ id }) => {
        const clip = new FakeClip({ segment: id, role: 'idle', frames: 30 });
        opened.push(clip);
        return clip;
      },
    );
    loop.prepare();
    expect(opened).toHaveLength(1);
    expect(loop.take()).toBe(opened[0]);
    expect(opened).toHaveLength(2);
    loop.release();
    expect(opened.map((clip) => clip.released)).toEqual([0, 1]);
  });

  it('begins with the clip of another host once its position is in memory', () => {
    const ids = [newId('seg'), newId('seg')] as const;
    const asked: (string | undefined)[] = [];
    const checked: number[] = [];
    const followed: number[] = [];
    const loop = new IdleLoop(
      (after) => {
        asked.push(after);
        return manifestOf(ids[1]);
      },
      ({ id }) => {
        const available = (from: number): Availability => {
          checked.push(from);
          return 'ready';
        };
        const clip = new FakeClip({ segment: id, role: 'idle', frames: 30, available });
        clip.follow = (position?: number) => void followed.push(position ?? Number.NaN);
        return clip;
      },
    );
    loop.resumeAt({ ...manifestOf(ids[0]), durationSamples: 48_000 }, 30_000);
    loop.prepare();
    expect(followed).toEqual([30_000]);
    expect(loop.take()?.segment).toBe(ids[0]);
    expect(loop.take()?.segment).toBe(ids[1]);
    expect(asked[0]).toBe(ids[0]);
    expect(checked).toEqual([30_000, 0]);
  });

  it('waits for a clip that is loading, and skips one that is gone', () => {
    let answer: Availability = 'late';
    const opened: FakeClip[] = [];
    const loop = new IdleLoop(
      () => manifestOf(newId('seg')),
      ({ id }) => {
        const clip = new FakeClip({ segment: id, role: 'idle', frames: 30, available: () => answer });
        opened.push(clip);
        return clip;
      },
    );
    expect(loop.take()).toBeUndefined();
    expect(opened).toHaveLength(1);
    answer = 'gone';
    expect(loop.take()).toBeUndefined();
    answer = 'ready';
    expect(loop.take()).toBe(opened[1]);
    expect(opened[0]?.released).toBe(1);
  });
});
