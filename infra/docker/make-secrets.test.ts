import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  ApiKeys,
  connectSubscriber,
  createLogger,
  type LivePart,
  liveChannel,
  newId,
  RedisLiveReader,
  RedisLiveWriter,
  RedisMediaStore,
  SCOPES,
  type SegmentManifest,
  StreamFeed,
} from '@humancast/shared';
import { startRedis, type TestRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

describe('make-secrets', () => {
  let folder: string;
  let redisMedia: TestRedis;
  const clients: Redis[] = [];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-secrets-'));
    run();
    redisMedia = await startRedis();
    const admin = new Redis(redisMedia.url);
    clients.push(admin);
    for (const line of read('redis-media.acl').split('\n')) {
      const [kind, name, ...rules] = line.split(' ');
      if (kind === 'user' && name !== 'default') await admin.call('ACL', 'SETUSER', name ?? '', ...rules);
    }
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    await redisMedia?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: string[]): string {
    const env = { ...process.env, SECRETS_DIR: folder, API_KEY_MJS: here('../../scripts/api-key.mjs') };
    return execFileSync('bash', [here('make-secrets'), ...args], { env, encoding: 'utf8' }).trim();
  }
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim();
  const find = (key: string) => new ApiKeys([], join(folder, 'api-keys')).find(key);
  const scopesOf = (key: string) => SCOPES.filter((scope) => find(key)?.has(scope));

  function urlOf(service: string): string {
    return `redis://${service}:${read(`redis-media.${service}.password`)}@127.0.0.1:${redisMedia.port}`;
  }
  function as(service: string): Redis {
    const client = new Redis(urlOf(service));
    clients.push(client);
    return client;
  }

  const manifest: SegmentManifest = {
    version: 1,
    id: newId('seg'),
    avatar: 'demo',
    name: 'x',
    role: 'speech',
    source: 'upload',
    state: 'complete',
    createdAtMs: 1,
    fps: { num: 30, den: 1 },
    frames: 30,
    gopFrames: 30,
    pcmSamples: 24_000,
    durationSamples: 48_000,
    renditions: [{ id: 'vp8', codec: 'vp8', width: 64, height: 64, bitrateBps: 1, bytes: 3 }],
    markFrames: [],
  };

  it('lets a media-sender read media and renew its time to live', async () => {
    const loader = as('segment-loader');
    const writer = new RedisMediaStore(loader);
    await writer.writeGop(manifest.id, 'vp8', 0, Buffer.from('gop'));
    await writer.writePcm(manifest.id, 0, Buffer.from('pcm'));
    await writer.putManifest(manifest, { pinned: false, ttlSeconds: 600 });
    await writer.setIdlePlaylist('demo', [manifest.id]);

    const sender = as('media-sender');
    const reader = new RedisMediaStore(sender);
    expect(await reader.getIdlePlaylist('demo')).toEqual([manifest.id]);
    expect(await reader.getManifest(manifest.id)).toEqual(manifest);
    expect(await reader.readGop(manifest.id, 'vp8', 0)).toEqual(Buffer.from('gop'));
    expect(await reader.readPcm(manifest.id, 0)).toEqual(Buffer.from('pcm'));
    await loader.expire(`hc:{m:${manifest.id}}:manifest`, 10);
    await reader.touch(manifest.id);
    expect(await loader.ttl(`hc:{m:${manifest.id}}:manifest`)).toBeGreaterThan(500);
    expect(await sender.ping()).toBe('PONG');
  });

  it('lets a media-sender follow an open segment', async () => {
    const logger = createLogger('test', 'silent');
    const subscriber = connectSubscriber(urlOf('media-sender'), { name: 'test', logger });
    clients.push(subscriber);
    const reader = new RedisLiveReader(as('media-sender'), new StreamFeed(subscriber, logger));
    const open = newId('seg');
    const heard: LivePart['kind'][] = [];
    const stop = reader.follow(open, ({ part }) => heard.push(part.kind));
    await expect
      .poll(async () => (await clients[0]?.pubsub('NUMSUB', liveChannel(open)))?.[1], { timeout: 10_000 })
      .toBe(1);
    await new RedisLiveWriter(as('segment-loader')).append(open, [{ kind: 'sound', sample: 0, pcm: Buffer.alloc(4) }]);
    await expect.poll(() => heard, { timeout: 10_000 }).toEqual(['sound']);
    stop();
  });

  it('lets a media-sender change, delete or find out nothing else at redis-media', async () => {
    const sender = as('media-sender');
    const key = `hc:{m:${manifest.id}}:manifest`;
    const commands: string[][] = [
      ['SET', key, 'x'],
      ['DEL', key],
      ['UNLINK', key],
      ['HSET', 'hc:{c:demo}:segments', 'x', 'y'],
      ['RPUSH', 'hc:{c:demo}:idle', 'x'],
      ['EVAL', 'return 1', '0'],
      ['PUBLISH', 'hc:lv:x', '1'],
      ['SUBSCRIBE', 'another'],
      ['GET', 'another'],
      ['KEYS', '*'],
      ['FLUSHALL'],
      ['CONFIG', 'GET', 'maxmemory'],
      ['ACL', 'LIST'],
      ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ];
    for (const [command = '', ...args] of commands) {
      await expect(sender.call(command, ...args), command).rejects.toThrow('NOPERM');
    }
    expect(await clients[0]?.exists(key)).toBe(1);
  });

  it('gives the demo producer a key that may only speak, also in place of one of before there were scopes', () => {
    expect([find(read('say-key'))?.name, ...scopesOf(read('say-key'))]).toEqual(['demo-producer', 'speak']);
    const hash = read('api-keys').match(/sha256:[0-9a-f]{64}/)?.[0];
    writeFileSync(join(folder, 'api-keys'), `${hash} # demo-producer 2026-01-01\n`);
    expect(scopesOf(read('say-key'))).toEqual([...SCOPES]);
    run();
    expect(scopesOf(read('say-key'))).toEqual(['speak']);
    const before = read('say-key');
    run('rotate', 'say');
    expect([scopesOf(read('say-key')), find(before)]).toEqual([['speak'], undefined]);
    expect(scopesOf(run('api-key', 'new', 'backend'))).toEqual(['sessions', 'media']);
  });
});
