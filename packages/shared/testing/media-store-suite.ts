import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PCM_CHUNK_SAMPLES, type SegmentManifest, summaryOf } from '../src/media/manifest.js';
import type { MediaStore } from '../src/media/media-store.js';
import { type IdPrefix, newId } from '../src/new-id.js';

export interface MediaStoreHarness {
  readonly store: MediaStore;
  /** Lets so many seconds pass, as far as times to live are concerned. */
  passTime(seconds: number): Promise<void>;
  /** Loses one GOP, as an eviction would. */
  loseGop(segment: string, rendition: string, index: number): Promise<void>;
  /** Changes what is stored of a segment's manifest and of its entry in the list, as a later version might have written it. */
  rewrite(manifest: SegmentManifest, changes: Readonly<Record<string, unknown>>): Promise<void>;
  close(): Promise<void>;
}

export interface MediaStoreHarnessOptions {
  /** Room for about so many bytes, none of which may be given up for others. Without it: plenty. */
  limitBytes?: number;
}

const GOPS = 3;
const PCM_CHUNKS = 3;

/** What every media store does, whatever it is made of. */
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
      const manifest = makeManifest(overrides);
      await writeParts(store, manifest);
      await store.putManifest(manifest, ttlSeconds === undefined ? { pinned: true } : { pinned: false, ttlSeconds });
      return manifest;
    }

    it('gives back exactly what was written', async () => {
      const manifest = await load();
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.readGop(manifest.id, 'vp8', 1)).toEqual(gopBytes(1));
      expect(await store.readPcm(manifest.id, 2)).toEqual(pcmBytes(2));
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('has nothing under an id that was never written', async () => {
      const id = newId('seg');
      expect(await store.getManifest(id)).toBeUndefined();
      expect(await store.readGop(id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(id, 0)).toBeUndefined();
      expect(await store.isWhole(id)).toBe(false);
      expect(await store.delete(id)).toBe(false);
      await store.touch(id);
      expect(await store.getManifest(id)).toBeUndefined();
    });

    it('shows a segment only when its manifest is there', async () => {
      const manifest = makeManifest({ avatar: newAvatar() });
      await writeParts(store, manifest);
      expect(await store.list(manifest.avatar)).toEqual([]);
      await store.putManifest(manifest, { pinned: true });
      expect(await store.list(manifest.avatar)).toEqual([summaryOf(manifest)]);
    });

    it('reads a manifest with members that a later version has added', async () => {
      const manifest = await load({ avatar: newAvatar() });
      await harness.rewrite(manifest, { loudness: -23 });
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.isWhole(manifest.id)).toBe(true);
      expect(await store.list(manifest.avatar)).toEqual([summaryOf(manifest)]);
    });

    it('keeps, measures and deletes a segment whose manifest is of a later form, but does not read it', async () => {
      const avatar = newAvatar();
      const [later, known] = [await load({ avatar, ttlSeconds: 100 }), await load({ avatar })];
      const { bytes } = (await store.usage(later.id)) ?? {};
      await harness.rewrite(later, { version: 2, state: 'paused', durationSamples: null });
      await expect(store.getManifest(later.id)).rejects.toMatchObject({ code: 'record_unreadable' });
      expect(await store.isWhole(later.id)).toBe(false);
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

    it('may be given a readable manifest in place of one that is not', async () => {
      const manifest = await load({ avatar: newAvatar() });
      await harness.rewrite(manifest, { version: 2, renditions: 'all' });
      expect(await store.usage(manifest.id)).toBeUndefined();
      await store.putManifest(manifest, { pinned: true });
      expect(await store.getManifest(manifest.id)).toEqual(manifest);
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('tells what a segment takes up, and for how long it has not been used', async () => {
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

    it('pins a segment, and lets it go again', async () => {
      const { id } = await load({ ttlSeconds: 100 });
      expect(await store.retain(id, { pinned: true })).toBe(true);
      await harness.passTime(200);
      expect(await store.usage(id)).toMatchObject({ retention: { pinned: true }, idleSeconds: 0 });
      expect(await store.isWhole(id)).toBe(true);
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

    it('replaces the manifest of a segment that goes on growing', async () => {
      const avatar = newAvatar();
      const open = await load({ avatar, state: 'open' });
      await store.putManifest({ ...open, state: 'complete' }, { pinned: true });
      expect((await store.getManifest(open.id))?.state).toBe('complete');
      expect(await store.list(avatar)).toHaveLength(1);
    });

    it('keeps a pinned segment for good', async () => {
      const manifest = await load();
      await harness.passTime(31_536_000);
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('forgets a segment whose time is up, in the list too', async () => {
      const avatar = newAvatar();
      const manifest = await load({ avatar, ttlSeconds: 100 });
      await harness.passTime(99);
      expect(await store.isWhole(manifest.id)).toBe(true);
      await harness.passTime(2);
      expect(await store.getManifest(manifest.id)).toBeUndefined();
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, 0)).toBeUndefined();
      expect(await store.list(avatar)).toEqual([]);
    });

    it('starts the time of all parts anew when a segment is touched', async () => {
      const manifest = await load({ ttlSeconds: 100 });
      await harness.passTime(80);
      await store.touch(manifest.id);
      await harness.passTime(80);
      expect(await store.isWhole(manifest.id)).toBe(true);
      await harness.passTime(21);
      expect(await store.getManifest(manifest.id)).toBeUndefined();
    });

    it('does not make a pinned segment mortal by touching it', async () => {
      const manifest = await load();
      await store.touch(manifest.id);
      await harness.passTime(31_536_000);
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('keeps a segment that is pinned later', async () => {
      const manifest = await load({ ttlSeconds: 100 });
      await store.putManifest(manifest, { pinned: true });
      await harness.passTime(1000);
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('lets parts go that no manifest ever followed', async () => {
      const manifest = makeManifest();
      await writeParts(store, manifest);
      await harness.passTime(86_400);
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, 0)).toBeUndefined();
    });

    it('takes back the parts of a segment that will have no manifest', async () => {
      const manifest = makeManifest();
      await writeParts(store, manifest);
      await store.discardParts(manifest);
      expect(await store.readGop(manifest.id, 'vp8', 0)).toBeUndefined();
      expect(await store.readPcm(manifest.id, PCM_CHUNKS - 1)).toBeUndefined();
    });

    it('notices that a part is lost', async () => {
      const manifest = await load();
      await harness.loseGop(manifest.id, 'vp8', 1);
      expect(await store.isWhole(manifest.id)).toBe(false);
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

    it('refuses the manifest of a forbidden segment, so that a deleted one does not come back', async () => {
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
      const open = makeManifest({ state: 'open', frames: 0, pcmSamples: 0 });
      await writeParts(store, { ...open, pcmSamples: 1 });
      await store.putManifest(open, { pinned: false, ttlSeconds: 60 });
      await store.delete(open.id);
      for (let i = 0; i < GOPS; i++) {
        expect(await store.readGop(open.id, 'vp8', i)).toBeUndefined();
        expect(await store.readPcm(open.id, i)).toBeUndefined();
      }
    });

    it('tells the ids of an avatar and the seconds that each segment has left', async () => {
      const avatar = newAvatar();
      const [pinned, mortal] = [await load({ avatar }), await load({ avatar, ttlSeconds: 100 })];
      expect((await store.ids(avatar)).sort()).toEqual([pinned.id, mortal.id].sort());
      const [forever, some, none] = await store.secondsLeft([pinned.id, mortal.id, newId('seg')]);
      expect(forever).toBe(Number.POSITIVE_INFINITY);
      expect(some).toBeGreaterThan(95);
      expect(some).toBeLessThanOrEqual(100);
      expect(none).toBeUndefined();
    });

    it('holds a segment without sound', async () => {
      const manifest = await load({ pcmSamples: 0 });
      expect(await store.isWhole(manifest.id)).toBe(true);
    });

    it('refuses a manifest that is not one', async () => {
      await expect(store.putManifest(makeManifest({ avatar: '../etc' }), { pinned: true })).rejects.toThrow();
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
  });

  describe(`${name}, full`, () => {
    it('says so, keeps what it has, and takes more after something was removed', async () => {
      const harness = await makeHarness({ limitBytes: 8_000_000 });
      try {
        const { store } = harness;
        const manifest = makeManifest();
        await writeParts(store, manifest);
        await store.putManifest(manifest, { pinned: true });
        const filler = await fill(store);
        expect(filler.written).toBeGreaterThan(0);
        expect(filler.error).toMatchObject({ code: 'media_store_full', status: 507 });
        expect(await store.isWhole(manifest.id)).toBe(true);
        expect(await store.delete(filler.id)).toBe(true);
        await writeParts(store, makeManifest());
      } finally {
        await harness.close();
      }
    });
  });
}

/** Writes pinned GOPs of a megabyte until the store refuses. */
async function fill(store: MediaStore): Promise<{ id: string; written: number; error: unknown }> {
  const manifest = makeManifest({ frames: 1, gopFrames: 1, pcmSamples: 0 });
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

/** Any bytes will do, also those that are no text. */
function gopBytes(index: number): Buffer {
  return Buffer.from([0, 255, 128, 10, 13, index]);
}

function pcmBytes(index: number): Buffer {
  return Buffer.alloc(100, index + 1);
}

function newAvatar(): string {
  return newId('seg' satisfies IdPrefix).toLowerCase();
}

/** A complete segment of three GOPs and three chunks of sound, unless told otherwise. */
function makeManifest(overrides: Partial<SegmentManifest> = {}): SegmentManifest {
  return {
    version: 1,
    id: newId('seg'),
    avatar: 'demo',
    name: 'a clip.mp4',
    role: 'speech',
    source: 'upload',
    state: 'complete',
    createdAtMs: 1_700_000_000_000,
    fps: { num: 30, den: 1 },
    frames: 75,
    gopFrames: 30,
    pcmSamples: PCM_CHUNK_SAMPLES * 2.5,
    durationSamples: 120_000,
    renditions: [{ id: 'vp8', codec: 'vp8', width: 1280, height: 720, bitrateBps: 1_500_000, bytes: 1000 }],
    markFrames: [],
    ...overrides,
  };
}
