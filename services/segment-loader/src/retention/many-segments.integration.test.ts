import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AvatarStore,
  type Clock,
  createLogger,
  createRegistry,
  newId,
  RedisMediaStore,
  type SegmentManifest,
} from '@humancast/shared';
import { makeManifest, startRedis, type TestRedis, waitFor } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Housekeeper } from './housekeeper.js';
import { MediaQuota } from './media-quota.js';
import { RetentionMetrics } from './retention-metrics.js';
import { SegmentArchive } from './segment-archive.js';

/** Set `MANY_SEGMENTS=10000` for figures; the assertions hold for any number. */
const COUNT = Number(process.env['MANY_SEGMENTS'] ?? 1500);
const logger = createLogger('test', 'fatal');

/** @returns The manifest of a segment of one GOP of 10 bytes, without audio. */
function manifestOf(id: string): SegmentManifest {
  const renditions = [{ id: 'vp8', codec: 'vp8' as const, width: 16, height: 16, bitrateBps: 1000, bytes: 10 }];
  return makeManifest({ id, pcmSamples: 0, renditions });
}

/** Counts the commands to the store, not the time, of a live push, an upload and a housekeeper run with many segments. */
describe('with many segments', () => {
  let server: TestRedis;
  let redis: Redis;
  let store: RedisMediaStore;
  let folder: string;
  let commands = 0;
  const ids: string[] = [];

  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
    store = new RedisMediaStore(redis);
    folder = mkdtempSync(join(tmpdir(), 'humancast-many-'));
    for (let i = 0; i < COUNT; i++) {
      const id = newId('seg');
      ids.push(id);
      await store.writeGop(id, 'vp8', 0, Buffer.alloc(10));
      await store.putManifest(manifestOf(id), { pinned: false, ttlSeconds: 100_000 });
    }
    const { sendCommand } = redis;
    redis.sendCommand = (...args: Parameters<typeof sendCommand>) => {
      commands++;
      return sendCommand.apply(redis, args);
    };
  }, 120_000);
  afterAll(async () => {
    redis.disconnect();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const avatars = { ids: async () => ['ann'] } satisfies Pick<AvatarStore, 'ids'>;
  const metrics = new RetentionMetrics(createRegistry('test'));

  function quotaOf(limitBytes: number, archive: Pick<SegmentArchive, 'forget'> = { forget: async () => {} }) {
    const queued = async () => new Set<string>();
    return new MediaQuota({ store, avatars, archive, metrics, logger, queued, limitBytes: async () => limitBytes });
  }

  /** @returns The number of commands sent to the store. */
  async function costOf(work: () => Promise<unknown>): Promise<number> {
    const before = commands;
    const startedMs = performance.now();
    await work();
    if (process.env['MANY_SEGMENTS'])
      console.log(`${commands - before} commands, ${(performance.now() - startedMs).toFixed(1)} ms`);
    return commands - before;
  }

  it('makeRoom() counts all segments once, then sends no command while there is room', async () => {
    const quota = quotaOf(COUNT * 1000);
    expect(await costOf(() => quota.makeRoom(100))).toBeGreaterThan(COUNT);
    expect(await costOf(() => quota.makeRoom(100))).toBe(0);
    // Asks only for the existence and time to live of each segment; the rest is known.
    expect(await costOf(() => quota.recount())).toBe(COUNT + 1);
    expect(await costOf(() => quota.freeBytes())).toBe(COUNT + 1);
  });

  it('makeRoom() without a quota sends no command', async () => {
    expect(await costOf(() => quotaOf(0).makeRoom(100))).toBe(0);
  });

  it('makeRoom() at the limit evicts the least recently used, with a slack for the next calls', async () => {
    const order = ids.slice(0, 40);
    for (const [i, id] of order.entries()) await redis.expire(`hc:{m:${id}}:manifest`, 1000 + i);
    const quota = quotaOf(COUNT * 10);
    const evicted: string[] = [];
    const slow = quotaOf(COUNT * 10, { forget: async (gone) => void evicted.push(...gone) });
    await quota.recount();
    expect(await slow.makeRoom(10)).toBe(true);
    expect(evicted.length).toBeGreaterThan(1);
    expect(evicted).toEqual(order.slice(0, evicted.length));
    for (let i = 1; i < evicted.length; i++) expect(await costOf(() => slow.makeRoom(10))).toBe(0);
  });

  it('the housekeeper, which checks 500 segments per run, finds a lost one in its turn', async () => {
    const clock: Clock = { nowMs: () => 0, wallMs: () => Date.now() } as Clock;
    const archive = new SegmentArchive({ directory: folder, store, clock, metrics, logger });
    await archive.open();
    const present = (await store.ids('ann')).slice(0, 1200);
    for (const id of present) await archive.keep(manifestOf(id), { pinned: false, ttlSeconds: 100_000 });
    const quota = quotaOf(0);
    const deletion = { completeAll: async () => {} };
    const housekeeper = new Housekeeper({ store, avatars, deletion, archive, quota, clock, intervalMs: 50, logger });
    await housekeeper.start();
    await waitFor('the full check', async () => commands > 0);
    const lost = present.at(-1) as string;
    await redis.del(`hc:{m:${lost}}:manifest`);
    const before = commands;
    await waitFor('the lost one to be restored', async () => (await store.getManifest(lost)) !== undefined);
    await housekeeper.close();
    expect(commands).toBeGreaterThan(before);
    expect(await store.hasAllParts(lost)).toBe(true);
  });
});
