import { makeManifest } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PCM_CHUNK_SAMPLES, type SegmentManifest, summaryOf } from '../src/media/manifest.js';
import type { MediaStore } from '../src/media/media-store.js';
import { type IdPrefix, newId } from '../src/new-id.js';

export interface MediaStoreHarness {
  readonly store: MediaStore;
  /** Advances time for TTLs. */
  passTime(seconds: number): Promise<void>;
  /** Removes one GOP, like an eviction. */
  loseGop(segment: string, rendition: string, index: number): Promise<void>;
  /** Changes the stored manifest of a segment and its entry in the list, as a later version might have written them. */
  rewrite(manifest: SegmentManifest, changes: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

export interface MediaStoreHarnessOptions {
  /** Memory limit, bytes, without eviction. Default: ample. */
  limitBytes?: number;
}

const GOPS = 3;
const PCM_CHUNKS = 3;

/** Conformance suite of media stores. */
export function mediaStoreSuite(
  name: string,
  makeHarness: (options: MediaStoreHarnessOptions) => Promise<MediaStoreHarness>,
): void {
  describe(`${name} is a media store`, () => {
    let harness: MediaStoreHarness;
    let store: MediaStore;
    beforeAll(async () => {
      harness = await makeHarness({});
      store = harness.store;
    });
    afterAll(() => harness.close());

    async function load(options: Partial<SegmentManifest> & { ttlSeconds?: number } = {}): Promise<SegmentManifest> {
      const { ttlSeconds, ...overrides } = options;
      const manifest = manifestOf(overrides);
      await writeParts(store, manifest);
      await store.putManifest(manifest, ttlSeconds === undefined ? { pinned: true } : { pinned: false, ttlSeconds });
      return manifest;
    }

    it('returns exactly what was written', async () => {
      const manifest = await load();
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.readGop(manifest.id, 'vp8', 1)).toEqual(gopBytes(1));
      expect(await store.readPcm(manifest.id, 2)).toEqual(pcmBytes(2));
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('returns nothing for an unknown id', async () => {
      const id = newId('seg');
      expect(await store.getManifest(id)).toBeUndefined();
      expect(await store.readGop(id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(id, 0)).toBeUndefined();
      expect(await store.hasAllParts(id)).toBe(false);
      expect(await store.delete(id)).toBe(false);
      await store.touch(id);
      expect(await store.getManifest(id)).toBeUndefined();
    });

    it('shows a segment only once its manifest is written', async () => {
      const manifest = manifestOf({ avatar: newAvatar() });
      await writeParts(store, manifest);
      expect(await store.list(manifest.avatar)).toEqual([]);
      await store.putManifest(manifest, { pinned: true });
      expect(await store.list(manifest.avatar)).toEqual([summaryOf(manifest)]);
    });

    it('reads a manifest with unknown members', async () => {
      const manifest = await load({ avatar: newAvatar() });
      await harness.rewrite(manifest, { loudness: -23 });
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
      expect(await store.list(manifest.avatar)).toEqual([summaryOf(manifest)]);
    });

    it('keeps, measures and deletes a segment with a manifest of a later version, but does not read it', async () => {
      const avatar = newAvatar();
      const [later, known] = [await load({ avatar, ttlSeconds: 100 }), await load({ avatar })];
      const { bytes } = (await store.usage(later.id)) ?? {};
      await harness.rewrite(later, { version: 2, state: 'paused', durationSamples: null });
      await expect(store.getManifest(later.id)).rejects.toMatchObject({ code: 'record_unreadable' });
      expect(await store.hasAllParts(later.id)).toBe(false);
      expect(await store.list(avatar)).toEqual([summaryOf(known)]);
      expect(await store.usage(later.id)).toMatchObject({ bytes, retention: { pinned: false, ttlSeconds: 100 } });
      await harness.passTime(90);
      await store.touch(later.id);
      await harness.passTime(90);
      expect(await store.readGop(later.id, 'vp8', 0)).toEqual(gopBytes(0));
      expect(await store.delete(later.id)).toBe(true);
      expect(await store.readGop(later.id, 'vp8', 0)).toBeUndefined();
      expect(await store.getManifest(later.id)).toBeUndefined();
    });

    it('replaces an unreadable manifest with a readable one', async () => {
      const manifest = await load({ avatar: newAvatar() });
      await harness.rewrite(manifest, { version: 2, renditions: 'all' });
      expect(await store.usage(manifest.id)).toBeUndefined();
      await store.putManifest(manifest, { pinned: true });
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('returns the size of a segment and the time since its last use', async () => {
      const { id, renditions, pcmSamples } = await load({ ttlSeconds: 100 });
      const bytes = renditions.reduce((sum, rendition) => sum + rendition.bytes, 2 * pcmSamples);
      expect(await store.usage(id)).toEqual({ bytes, retention: { pinned: false, ttlSeconds: 100 }, idleSeconds: 0 });
      await harness.passTime(40);
      const later = await store.usage(id);
      expect(later?.idleSeconds).toBeGreaterThanOrEqual(39);
      expect(later?.idleSeconds).toBeLessThanOrEqual(42);
      await store.touch(id);
      expect((await store.usage(id))?.idleSeconds).toBeLessThanOrEqual(1);
      expect(await store.usage(newId('seg'))).toBeUndefined();
    });

    it('pins and unpins a segment', async () => {
      const { id } = await load({ ttlSeconds: 100 });
      expect(await store.retain(id, { pinned: true })).toBe(true);
      await harness.passTime(200);
      expect(await store.usage(id)).toMatchObject({ retention: { pinned: true }, idleSeconds: 0 });
      expect(await store.hasAllParts(id)).toBe(true);
      expect(await store.retain(id, { pinned: false, ttlSeconds: 100 })).toBe(true);
      await harness.passTime(200);
      expect(await store.getManifest(id)).toBeUndefined();
      expect(await store.retain(id, { pinned: true })).toBe(false);
    });

    it('lists the segments of one avatar, oldest first', async () => {
      const avatar = newAvatar();
      const second = await load({ avatar, createdAtMs: 2000 });
      const first = await load({ avatar, createdAtMs: 1000 });
      await load({ avatar: newAvatar(), createdAtMs: 1500 });
      expect((await store.list(avatar)).map(({ id }) => id)).toEqual([first.id, second.id]);
    });

    it('replaces the manifest of an open segment', async () => {
      const avatar = newAvatar();
      const open = await load({ avatar, state: 'open' });
      await store.putManifest({ ...open, state: 'complete' }, { pinned: true });
      expect((await store.getManifest(open.id))?.state).toBe('complete');
      expect(await store.list(avatar)).toHaveLength(1);
    });

    describe('a segment that lacks renditions', () => {
      const small = { id: 'small', codec: 'vp8', width: 32, height: 32, bitrateBps: 50_000 } as const;
      const tiny = { ...small, id: 'tiny', bitrateBps: 20_000 };

      /** Loads a segment without its two smaller renditions, and writes the parts of the first of them. */
      async function incomplete(options: Parameters<typeof load>[0] = {}): Promise<SegmentManifest> {
        const manifest = await load({ missingRenditions: [small, tiny], ...options });
        for (let i = 0; i < GOPS; i++) await store.writeGop(manifest.id, small.id, i, gopBytes(10 + i));
        return manifest;
      }

      it('can be played, and is listed as unfinished until each is there or has failed', async () => {
        const manifest = await incomplete({ avatar: newAvatar() });
        expect(await store.hasAllParts(manifest.id)).toBe(true);
        expect(await store.list(manifest.avatar)).toEqual([{ ...summaryOf(manifest), unfinished: true }]);
        const failed = { ...tiny, failure: { code: 'media_undecodable', message: 'no frames' } };
        const stored = { ...small, bytes: 18 };
        const after = await store.putRenditions(manifest.id, [stored], [failed]);
        expect(after?.renditions).toEqual([...manifest.renditions, stored]);
        expect(after?.missingRenditions).toEqual([failed]);
        expect(await store.getManifest(manifest.id)).toEqual(after);
        expect((await store.list(manifest.avatar))[0]).not.toHaveProperty('unfinished');
        const whole = await store.putRenditions(manifest.id, [{ ...tiny, bytes: 6 }]);
        expect(whole).not.toHaveProperty('missingRenditions');
        expect(await store.hasAllParts(manifest.id)).toBe(false);
      });

      it('keeps its retention, for the new parts too', async () => {
        const { id } = await incomplete({ ttlSeconds: 100 });
        await harness.passTime(60);
        await store.putRenditions(id, [{ ...small, bytes: 18 }]);
        expect(await store.usage(id)).toMatchObject({ retention: { pinned: false, ttlSeconds: 100 } });
        await harness.passTime(60);
        expect(await store.hasAllParts(id)).toBe(true);
        await harness.passTime(60);
        expect(await store.getManifest(id)).toBeUndefined();
        expect(await store.readGop(id, small.id, 0)).toBeUndefined();
        const pinned = await incomplete();
        await store.putRenditions(pinned.id, [{ ...small, bytes: 18 }]);
        await harness.passTime(31_536_000);
        expect(await store.hasAllParts(pinned.id)).toBe(true);
      });

      it('stays deleted or expired', async () => {
        const [deleted, expired] = [await incomplete(), await incomplete({ ttlSeconds: 10 })];
        await store.delete(deleted.id);
        await harness.passTime(11);
        for (const { id, avatar } of [deleted, expired]) {
          expect(await store.putRenditions(id, [{ ...small, bytes: 18 }])).toBeUndefined();
          expect(await store.getManifest(id)).toBeUndefined();
          expect(await store.ids(avatar)).not.toContain(deleted.id);
        }
      });

      it('keeps changes that were made at the same time', async () => {
        const { id } = await incomplete({ ttlSeconds: 100 });
        await Promise.all([
          store.putRenditions(id, [{ ...small, bytes: 18 }]),
          store.putRenditions(id, [], [{ ...tiny, failure: { code: 'internal', message: '' } }]),
        ]);
        const manifest = await store.getManifest(id);
        expect(manifest?.renditions.map((rendition) => rendition.id)).toEqual(['vp8', 'small']);
        expect(manifest?.missingRenditions?.map(({ failure }) => failure?.code)).toEqual(['internal']);
      });
    });

    it('keeps a pinned segment forever', async () => {
      const manifest = await load();
      await harness.passTime(31_536_000);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('removes an expired segment, also from the list', async () => {
      const avatar = newAvatar();
      const manifest = await load({ avatar, ttlSeconds: 100 });
      await harness.passTime(99);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
      await harness.passTime(2);
      expect(await store.getManifest(manifest.id)).toBeUndefined();
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, 0)).toBeUndefined();
      expect(await store.list(avatar)).toEqual([]);
    });

    it('restarts the TTL of all parts when a segment is touched', async () => {
      const manifest = await load({ ttlSeconds: 100 });
      await harness.passTime(80);
      await store.touch(manifest.id);
      await harness.passTime(80);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
      await harness.passTime(21);
      expect(await store.getManifest(manifest.id)).toBeUndefined();
    });

    it('does not let a pinned segment expire when it is touched', async () => {
      const manifest = await load();
      await store.touch(manifest.id);
      await harness.passTime(31_536_000);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('keeps a segment that is pinned later', async () => {
      const manifest = await load({ ttlSeconds: 100 });
      await store.putManifest(manifest, { pinned: true });
      await harness.passTime(1000);
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('removes parts without a manifest when they expire', async () => {
      const manifest = manifestOf();
      await writeParts(store, manifest);
      await harness.passTime(86_400);
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, 0)).toBeUndefined();
    });

    it('removes the parts of a segment that will have no manifest', async () => {
      const manifest = manifestOf();
      await writeParts(store, manifest);
      await store.discardParts(manifest);
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, PCM_CHUNKS - 1)).toBeUndefined();
    });

    it('detects a missing part', async () => {
      const manifest = await load();
      await harness.loseGop(manifest.id, 'vp8', 1);
      expect(await store.hasAllParts(manifest.id)).toBe(false);
      expect(await store.readGop(manifest.id, 'vp8', 1)).toBeUndefined();
      expect(await store.readGop(manifest.id, 'vp8', 2)).toEqual(gopBytes(2));
    });

    it('removes a segment with all its parts, once', async () => {
      const avatar = newAvatar();
      const manifest = await load({ avatar });
      expect(await store.delete(manifest.id)).toBe(true);
      expect(await store.delete(manifest.id)).toBe(false);
      expect(await store.list(avatar)).toEqual([]);
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, 0)).toBeUndefined();
    });

    it('rejects the manifest of a forbidden segment, so that a deleted one does not return', async () => {
      const avatar = newAvatar();
      const manifest = await load({ avatar });
      await store.forbid(manifest.id);
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      await expect(store.putManifest(manifest, { pinned: true })).rejects.toMatchObject({ code: 'segment_not_found' });
      await expect(store.retain(manifest.id, { pinned: true })).rejects.toMatchObject({ code: 'segment_not_found' });
      expect(await store.delete(manifest.id)).toBe(true);
      await expect(store.putManifest(manifest, { pinned: true })).rejects.toMatchObject({ code: 'segment_not_found' });
      expect(await store.getManifest(manifest.id)).toBeUndefined();
      expect(await store.list(avatar)).toEqual([]);
    });

    it('removes the parts of an open segment, which its manifest does not count yet', async () => {
      const open = manifestOf({ state: 'open', frames: 0, pcmSamples: 0 });
      await writeParts(store, { ...open, pcmSamples: 1 });
      await store.putManifest(open, { pinned: false, ttlSeconds: 60 });
      await store.delete(open.id);
      for (let i = 0; i < GOPS; i++) {
        expect(await store.readGop(open.id, 'vp8', i)).toBeUndefined();
        expect(await store.readPcm(open.id, i)).toBeUndefined();
      }
    });

    it('returns the ids of an avatar and the TTL of each segment', async () => {
      const avatar = newAvatar();
      const [pinned, mortal] = [await load({ avatar }), await load({ avatar, ttlSeconds: 100 })];
      expect((await store.ids(avatar)).sort()).toEqual([pinned.id, mortal.id].sort());
      const [forever, some, none] = await store.secondsLeft([pinned.id, mortal.id, newId('seg')]);
      expect(forever).toBe(Number.POSITIVE_INFINITY);
      expect(some).toBeGreaterThan(95);
      expect(some).toBeLessThanOrEqual(100);
      expect(none).toBeUndefined();
    });

    it('stores a segment without audio', async () => {
      const manifest = await load({ pcmSamples: 0 });
      expect(await store.hasAllParts(manifest.id)).toBe(true);
    });

    it('rejects an invalid manifest', async () => {
      await expect(store.putManifest(manifestOf({ avatar: '../etc' }), { pinned: true })).rejects.toThrow();
    });

    it('keeps the order of an idle playlist, and can empty it', async () => {
      const avatar = newAvatar();
      expect(await store.getIdlePlaylist(avatar)).toEqual([]);
      const segments = [newId('seg'), newId('seg'), newId('seg')];
      await store.setIdlePlaylist(avatar, segments);
      expect(await store.getIdlePlaylist(avatar)).toEqual(segments);
      await store.setIdlePlaylist(avatar, segments.slice(1).reverse());
      expect(await store.getIdlePlaylist(avatar)).toEqual(segments.slice(1).reverse());
      await store.setIdlePlaylist(avatar, []);
      expect(await store.getIdlePlaylist(avatar)).toEqual([]);
    });

    it('replaces the idle playlists of all states at once', async () => {
      const avatar = newAvatar();
      expect(await store.getIdleStates(avatar)).toEqual({});
      const [a, b] = [newId('seg'), newId('seg')];
      await store.setIdleStates(avatar, { thinking: [b, a], listening: [a] });
      expect(await store.getIdleStates(avatar)).toEqual({ thinking: [b, a], listening: [a] });
      await store.setIdleStates(avatar, { listening: [b] });
      expect(await store.getIdleStates(avatar)).toEqual({ listening: [b] });
      await store.setIdleStates(avatar, {});
      expect(await store.getIdleStates(avatar)).toEqual({});
    });
  });

  describe(`${name}, full`, () => {
    it('rejects writes, keeps its content, and accepts writes after a deletion', async () => {
      const harness = await makeHarness({ limitBytes: 8_000_000 });
      try {
        const { store } = harness;
        const manifest = manifestOf();
        await writeParts(store, manifest);
        await store.putManifest(manifest, { pinned: true });
        const filler = await fill(store);
        expect(filler.written).toBeGreaterThan(0);
        expect(filler.error).toMatchObject({ code: 'media_store_full', status: 507 });
        expect(await store.hasAllParts(manifest.id)).toBe(true);
        expect(await store.delete(filler.id)).toBe(true);
        await writeParts(store, manifestOf());
      } finally {
        await harness.close();
      }
    });
  });
}

/** Writes pinned GOPs of a megabyte until the store rejects one. */
async function fill(store: MediaStore): Promise<{ id: string; written: number; error: unknown }> {
  const manifest = manifestOf({ frames: 1, gopFrames: 1, pcmSamples: 0 });
  for (let written = 0; written < 100; written++) {
    try {
      await store.writeGop(manifest.id, 'vp8', written, Buffer.alloc(1_000_000, written));
      await store.putManifest({ ...manifest, frames: written + 1 }, { pinned: true });
    } catch (error) {
      return { id: manifest.id, written, error };
    }
  }
  throw new Error('the store took 100 MB and was never full');
}

async function writeParts(store: MediaStore, manifest: SegmentManifest): Promise<void> {
  for (let i = 0; i < GOPS; i++) await store.writeGop(manifest.id, 'vp8', i, gopBytes(i));
  if (manifest.pcmSamples === 0) return;
  for (let i = 0; i < PCM_CHUNKS; i++) await store.writePcm(manifest.id, i, pcmBytes(i));
}

/** @returns Arbitrary bytes, which need not be text. */
function gopBytes(index: number): Buffer {
  return Buffer.from([0, 255, 128, 10, 13, index]);
}

function pcmBytes(index: number): Buffer {
  return Buffer.alloc(100, index + 1);
}

function newAvatar(): string {
  return newId('seg' satisfies IdPrefix).toLowerCase();
}

/** @returns The manifest of a segment of three GOPs and three PCM chunks, unless overridden. */
function manifestOf(overrides: Partial<SegmentManifest> = {}): SegmentManifest {
  return makeManifest({ frames: 75, pcmSamples: PCM_CHUNK_SAMPLES * 2.5, durationSamples: 120_000, ...overrides });
}
