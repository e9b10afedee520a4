import type { Segment } from '@humancast/protocol';
import { gopCount, packGop, RedisMediaStore, type SegmentManifest } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { decodeSegment } from '../../testing/decoded-segment.js';
import { TestLoader } from '../../testing/start-test-loader.js';

const RENDITIONS = 'l:vp8:640x640:600k,m:vp8:320x320:300k,s:vp8:160x160:100k,h:h264:320x320:300k,t:h264:160x160:100k';

/** The further renditions of segments, through the running service. */
describe('a segment with a ladder', () => {
  const clips = new Clips();
  const loaders: TestLoader[] = [];
  let clip: string;
  let long: string;
  beforeAll(async () => {
    clip = await clips.flashBeep('clip.mp4');
    long = await clips.test('long.mp4', { seconds: 30, size: '640x360' });
  });
  afterEach(async () => {
    for (const loader of loaders.splice(0)) await loader.stop();
  });
  afterAll(() => clips.remove());

  async function start(env: Record<string, string> = {}): Promise<TestLoader> {
    const loader = await TestLoader.start({ RENDITIONS, ...env });
    loaders.push(loader);
    await loader.defineAvatar('ann');
    return loader;
  }

  const upload = (loader: TestLoader, file = clip, query = '') => loader.upload<Segment>('ann', file, query);
  const get = async (loader: TestLoader, id: string) =>
    (await loader.request<Segment>('GET', `/v1/segments/${id}`)).body as Segment;
  const idsOf = (renditions: readonly { readonly id: string }[] = []) => renditions.map(({ id }) => id).sort();

  function whole(loader: TestLoader, id: string): Promise<SegmentManifest> {
    return waitFor('the further renditions', async () => {
      const manifest = await loader.store.getManifest(id);
      return manifest?.missingRenditions === undefined && manifest;
    });
  }

  /** Stops the service while further renditions are being encoded. @returns The segment. */
  async function interrupted(loader: TestLoader): Promise<SegmentManifest> {
    const { id } = (await upload(loader, long)).body;
    await loader.stopService();
    const manifest = (await loader.store.getManifest(id)) as SegmentManifest;
    expect(idsOf(manifest.missingRenditions)).toEqual(['m', 's', 't']);
    expect(await loader.store.hasAllParts(id)).toBe(true);
    return manifest;
  }

  it('can be played with the first rendition of each codec; the others follow and show the same', async () => {
    const loader = await start();
    const { status, body } = await upload(loader);
    expect(status).toBe(201);
    expect(body).toMatchObject({ state: 'complete', frames: 90 });
    expect(idsOf(body.renditions)).toEqual(['h', 'l']);
    expect(idsOf(body.missingRenditions)).toEqual(['m', 's', 't']);
    const manifest = await whole(loader, body.id);
    const shown = await get(loader, body.id);
    expect(idsOf(shown.renditions)).toEqual(['h', 'l', 'm', 's', 't']);
    expect(shown).not.toHaveProperty('missingRenditions');
    for (const i of manifest.renditions.keys()) {
      const { pixels, flashes } = await decodeSegment(loader.store, manifest, i);
      expect(pixels).toHaveLength(90);
      expect(flashes).toEqual([0, 1, 2]);
    }
    expect(manifest.renditions.every(({ bytes }) => bytes > 0)).toBe(true);
  });

  it('keeps its frame rate and pin, and is archived as a whole', async () => {
    const loader = await start({ WATCH_RESCAN_MS: '500' });
    await loader.defineAvatar('ann', { fps: { num: 30_000, den: 1001 } });
    const { id } = (await upload(loader, clip, '&pinned=true')).body;
    const manifest = await whole(loader, id);
    expect(new Set(await Promise.all(manifest.renditions.map((_, i) => framesOf(loader, manifest, i))))).toEqual(
      new Set([manifest.frames]),
    );
    expect((await get(loader, id)).pinned).toBe(true);
    await waitFor('the archive to be written', async () => {
      await loader.store.delete(id);
      await waitFor('the segment to be restored', () => loader.store.hasAllParts(id));
      return (await loader.store.getManifest(id))?.missingRenditions === undefined;
    });
    expect(await loader.store.getManifest(id)).toEqual(manifest);
  });

  it('is completed after a restart, once, from what is stored', async () => {
    const loader = await start();
    const { id } = await interrupted(loader);
    await loader.startService();
    const manifest = await whole(loader, id);
    expect(await loader.store.hasAllParts(id)).toBe(true);
    expect(manifest.frames).toBe(900);
    expect((await loader.store.list('ann')).map((segment) => segment.id)).toEqual([id]);
  });

  it('leaves nothing behind when it is deleted meanwhile', async () => {
    const loader = await start();
    const { id } = (await upload(loader, long)).body;
    expect((await loader.request('DELETE', `/v1/segments/${id}`)).status).toBe(204);
    const keys = await loader.redis.keys(`hc:{m:${id}}:*`);
    expect(keys.filter((key) => !key.endsWith(':deleted'))).toEqual([]);
    expect((await loader.request('GET', `/v1/segments/${id}`)).status).toBe(404);
  });

  it('is played without renditions that cannot be encoded, and says so', async () => {
    const loader = await start();
    const manifest = await interrupted(loader);
    const { id } = manifest;
    // Damages the rendition from which the others are made.
    const store = new RedisMediaStore(loader.redis);
    const frames = Array.from({ length: manifest.gopFrames }, (_, i) => ({
      data: Buffer.alloc(50),
      keyframe: i === 0,
    }));
    for (let i = 0; i < gopCount(manifest); i++) await store.writeGop(id, 'l', i, packGop(frames));
    await loader.startService();
    await waitFor('the renditions to fail', async () => {
      const { missingRenditions = [] } = (await loader.store.getManifest(id)) ?? {};
      return missingRenditions.every(({ failure }) => failure);
    });
    const shown = await get(loader, id);
    expect(shown.state).toBe('complete');
    expect(shown.missingRenditions?.map(({ failure }) => failure?.code)).toContain('media_undecodable');
    expect(idsOf(shown.renditions)).toEqual(expect.arrayContaining(['h', 'l']));
    expect(await loader.store.hasAllParts(id)).toBe(true);
    expect((await loader.store.list('ann'))[0]).not.toHaveProperty('unfinished');
    const failures = /rendition_failures_total\{code="media_undecodable"[^}]*\} (\d+)/.exec(await loader.metrics());
    expect(Number(failures?.[1])).toBeGreaterThan(0);
  });

  async function framesOf(loader: TestLoader, manifest: SegmentManifest, rendition: number): Promise<number> {
    return (await decodeSegment(loader.store, manifest, rendition)).pixels.length;
  }
});
