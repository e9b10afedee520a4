import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  ApiKeys,
  AvatarStore,
  BULL_PREFIX,
  bullConnection,
  connectRedis,
  connectSubscriber,
  createLogger,
  DeletionLog,
  eventsChannel,
  keys,
  type LivePart,
  liveChannel,
  newId,
  RedisLiveReader,
  RedisLiveWriter,
  RedisMailbox,
  RedisMailSender,
  RedisMediaStore,
  SCOPES,
  SESSIONS_QUEUE,
  type SegmentManifest,
  SegmentQueues,
  SenderRegistry,
  SessionRegistry,
  Speech,
  StreamFeed,
  segmentsQueue,
  senderChannel,
  toSenderSchema,
} from '@humancast/shared';
import { startRedis, type TestRedis } from '@humancast/testkit';
import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const SERVERS = ['redis-queue', 'redis-media'] as const;
type Server = (typeof SERVERS)[number];
const SERVICES = ['signaling', 'segment-loader', 'media-sender'] as const;
type Service = (typeof SERVICES)[number];
const logger = createLogger('test', 'silent');

describe('make-secrets', () => {
  let folder: string;
  const servers = new Map<Server, TestRedis>();
  const admins = new Map<Server, Redis>();
  const clients: { disconnect(): void }[] = [];
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-secrets-'));
    run();
    for (const name of SERVERS) {
      const server = await startRedis();
      servers.set(name, server);
      const admin = keep(new Redis(server.url));
      admins.set(name, admin);
      for (const line of read(`${name}.acl`).split('\n')) {
        const [kind, user, ...rules] = line.split(' ');
        if (kind === 'user' && user !== 'default') await admin.call('ACL', 'SETUSER', user ?? '', ...rules);
      }
    }
  });
  afterAll(async () => {
    for (const client of clients) client.disconnect();
    for (const server of servers.values()) await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  function run(...args: string[]): string {
    const env = {
      ...process.env,
      SECRETS_DIR: folder,
      API_KEY_MJS: here('../../scripts/api-key.mjs'),
      REDIS_RIGHTS: here('../redis/rights'),
    };
    return execFileSync('bash', [here('make-secrets'), ...args], { env, encoding: 'utf8' }).trim();
  }
  const read = (name: string) => readFileSync(join(folder, name), 'utf8').trim();
  const find = (key: string) => new ApiKeys([], join(folder, 'api-keys')).find(key);
  const scopesOf = (key: string) => SCOPES.filter((scope) => find(key)?.has(scope));

  function keep<T extends { disconnect(): void }>(client: T): T {
    clients.push(client);
    return client;
  }
  function urlOf(service: Service, server: Server): string {
    return `redis://${service}:${read(`${server}.${service}.password`)}@127.0.0.1:${servers.get(server)?.port}`;
  }
  function as(service: Service, server: Server): Redis {
    return keep(connectRedis(urlOf(service, server), { name: 'test', logger, waitForReconnect: true }) as Redis);
  }
  function subscriberOf(service: Service, server: Server): Redis {
    return keep(connectSubscriber(urlOf(service, server), { name: 'test', logger }));
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

  it('a media-sender may read media and renew its time to live', async () => {
    const loader = as('segment-loader', 'redis-media');
    const writer = new RedisMediaStore(loader);
    await writer.writeGop(manifest.id, 'vp8', 0, Buffer.from('gop'));
    await writer.writePcm(manifest.id, 0, Buffer.from('pcm'));
    await writer.putManifest(manifest, { pinned: false, ttlSeconds: 600 });
    await writer.setIdlePlaylist('demo', [manifest.id]);

    const sender = as('media-sender', 'redis-media');
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

  it('a media-sender may follow an open segment', async () => {
    const subscriber = subscriberOf('media-sender', 'redis-media');
    const reader = new RedisLiveReader(as('media-sender', 'redis-media'), new StreamFeed(subscriber, logger));
    const open = newId('seg');
    const received: LivePart['kind'][] = [];
    const stop = reader.follow(open, ({ part }) => received.push(part.kind));
    await expect
      .poll(async () => (await admins.get('redis-media')?.pubsub('NUMSUB', liveChannel(open)))?.[1], {
        timeout: 10_000,
      })
      .toBe(1);
    await new RedisLiveWriter(as('segment-loader', 'redis-media')).append(open, [
      { kind: 'audio', sample: 0, pcm: Buffer.alloc(4) },
    ]);
    await expect.poll(() => received, { timeout: 10_000 }).toEqual(['audio']);
    stop();
  });

  it('a media-sender may not change, delete or list anything else at redis-media', async () => {
    const sender = as('media-sender', 'redis-media');
    const key = `hc:{m:${manifest.id}}:manifest`;
    const commands: string[][] = [
      ['SET', key, 'x'],
      ['DEL', key],
      ['UNLINK', key],
      ['HSET', 'hc:{c:demo}:segments', 'x', 'y'],
      ['EXPIRE', 'hc:{c:demo}:segments', '1'],
      ['RPUSH', 'hc:{c:demo}:idle', 'x'],
      ['EVAL', 'return 1', '0'],
      ['PUBLISH', 'hc:lv:x', '1'],
      ['PUBLISH', 'another', '1'],
      ['SUBSCRIBE', 'another'],
      ['GET', 'another'],
      ['KEYS', '*'],
      ['FLUSHALL'],
      ['CONFIG', 'GET', 'maxmemory'],
      ['ACL', 'LIST'],
      ['CLIENT', 'KILL', 'TYPE', 'normal'],
    ];
    for (const command of commands) await expectDenied(sender, command);
    // What viewers say is published, and nothing else.
    expect(await sender.call('PUBLISH', 'hc:mic:x', '1')).toBe(0);
    expect(await admins.get('redis-media')?.exists(key)).toBe(1);
  });

  it('signaling may read media, renew its time to live and clean its catalog, and not write media', async () => {
    const loader = new RedisMediaStore(as('segment-loader', 'redis-media'));
    const signaling = as('signaling', 'redis-media');
    const store = new RedisMediaStore(signaling);
    await loader.putManifest(manifest, { pinned: false, ttlSeconds: 600 });
    const gone = { ...manifest, id: newId('seg') };
    await loader.putManifest(gone, { pinned: false, ttlSeconds: 600 });
    await admins.get('redis-media')?.del(`hc:{m:${gone.id}}:manifest`);
    expect((await store.list('demo')).map(({ id }) => id)).toEqual([manifest.id]);
    expect(await store.getIdlePlaylist('demo')).toEqual([manifest.id]);
    await store.touch(manifest.id);
    await expectDenied(signaling, ['SET', `hc:{m:${manifest.id}}:manifest`, 'x']);
    await expectDenied(signaling, ['UNLINK', `hc:{m:${manifest.id}}:manifest`]);
    await expectDenied(signaling, ['RPUSH', 'hc:{c:demo}:idle', 'x']);
  });

  it('the three services make a session speak, each with its own rights at redis-queue', async () => {
    const [signaling, loader, sender] = [
      as('signaling', 'redis-queue'),
      as('segment-loader', 'redis-queue'),
      as('media-sender', 'redis-queue'),
    ];
    const [session, host] = [newId('ses'), newId('snd')];
    const received: string[] = [];
    const subscriber = subscriberOf('media-sender', 'redis-queue');
    await subscriber.subscribe(senderChannel(host));
    const feed = subscriberOf('signaling', 'redis-queue');
    feed.on('message', (channel) => received.push(channel));
    await feed.subscribe(eventsChannel(session));

    // The media-sender starts.
    const senders = new SenderRegistry(sender);
    const record = {
      id: host,
      mailbox: host,
      sessions: 0,
      viewers: 0,
      viewerCapacity: 0,
      capacity: 1,
      draining: false,
      accepting: true,
    };
    await senders.beat({ ...record, startedAtMs: 1, hostname: 'x' }, 60_000, true);
    const mailbox = new RedisMailbox(host, as('media-sender', 'redis-queue'), sender, toSenderSchema, logger);
    const letters: string[] = [];
    await mailbox.open(({ type }) => void letters.push(type));
    const connection = bullConnection(urlOf('media-sender', 'redis-queue'), 'test', sender);
    const jobs: string[] = [];
    const workers = [SESSIONS_QUEUE, segmentsQueue(host)].map(
      (name) => new Worker(name, async () => void jobs.push(name), { connection, prefix: BULL_PREFIX }),
    );
    clients.push(...workers.map((worker) => ({ disconnect: () => void worker.close(true) })));

    // The loader registers an avatar; signaling creates a session, and the media-sender takes it.
    await new AvatarStore(loader).ensure('demo');
    expect(await new AvatarStore(signaling).get('demo')).toMatchObject({ id: 'demo' });
    expect(await new AvatarStore(sender).get('demo')).toMatchObject({ id: 'demo' });
    const [producer, registry] = [new SessionRegistry(signaling), new SessionRegistry(sender)];
    await producer.create(session, 'demo');
    const epoch = (await producer.requestHost(session)) ?? 0;
    const sessions = new Queue(SESSIONS_QUEUE, { connection: signaling, prefix: BULL_PREFIX });
    await sessions.add('host', { session, epoch });
    expect(await registry.claim(session, epoch, host)).toBe(true);
    const viewer = newId('vw');
    await producer.putViewer(session, viewer, 'sig_x', { limit: 5 });
    expect(await registry.viewers(session)).toHaveLength(1);
    expect(await registry.viewerGone(session, epoch, viewer, 1)).toBe(true);

    // Signaling and the loader may queue speech; the media-sender reports it.
    const [first, second] = [newId('seg'), newId('seg')];
    const doors: [Redis, string][] = [
      [signaling, first],
      [loader, second],
    ];
    for (const [door, segment] of doors) {
      const queues = new SegmentQueues(door);
      const speech = new Speech(new SessionRegistry(door), queues, new RedisMailSender(door));
      const { queued } = await speech.speak(session, [segment], { interrupt: true, limit: 10 });
      const [item] = queued;
      if (!item) throw new Error('nothing was queued');
      await registry.speechStarted(session, epoch, item);
      await queues.close();
    }
    await registry.savePlayhead(session, epoch, {
      segment: second,
      role: 'speech',
      seq: 2,
      positionSamples: 0,
      atMs: 1,
    });
    const log = new DeletionLog(sender);
    await log.next();
    await new DeletionLog(loader).append([second]);
    expect((await log.next()).segments).toEqual([second]);
    await new SessionRegistry(loader).dropSegment(session, second);
    expect((await new SessionRegistry(loader).eventPage(session, '0-0', 100)).entries.length).toBeGreaterThan(2);
    await expect.poll(() => [jobs.length, letters.length], { timeout: 10_000 }).toEqual([3, 2]);

    // The session ends and is removed.
    await registry.end(session, 'no-viewers', epoch);
    expect(received).toContain(eventsChannel(session));
    await mailbox.close();
    await Promise.all(workers.map((worker) => worker.close()));
    const segments = new Queue(segmentsQueue(host), { connection, prefix: BULL_PREFIX });
    await segments.obliterate({ force: true });
    await segments.close();
    expect((await new SenderRegistry(signaling).liveness([host])).get(host)?.overdue).toBe(false);
    await senders.forget(host);
    await sessions.close();
    expect(await admins.get('redis-queue')?.call('ACL', 'LOG')).toEqual([]);
  });

  it('every key has a service that may read it and one that may write it', async () => {
    for (const [name, key] of Object.entries(keys)) {
      const text = typeof key === 'string' ? key : (key as (...parts: unknown[]) => string)('x', 'x', 0);
      const verdicts = SERVERS.flatMap((server) =>
        SERVICES.map((service) => admins.get(server)?.call('ACL', 'DRYRUN', service, 'GETSET', text, 'x')),
      );
      expect(await Promise.all(verdicts), name).toContain('OK');
    }
  });

  it.each<[Service, string[]]>([
    ['media-sender', ['HSET', 'hc:avatars', 'demo', '{}']],
    ['media-sender', ['HDEL', 'hc:avatars', 'demo']],
    ['media-sender', ['HSET', 'hc:deletions:open', 'x', '{}']],
    ['media-sender', ['EVAL', "return redis.call('HSET', 'hc:deletions:open', 'x', '{}')", '0']],
    ['media-sender', ['XADD', 'hc:deletions', '*', 's', '["x"]']],
    ['media-sender', ['GET', 'hc:{up:seg_x}']],
    ['media-sender', ['SET', 'hc:{up:seg_x}', 'x']],
    ['media-sender', ['ZRANGE', 'hc:sessions', '0', '-1']],
    ['media-sender', ['DEL', '{hc:bull}:another:wait']],
    ['media-sender', ['SET', 'another', 'x']],
    ['media-sender', ['SUBSCRIBE', 'another']],
    ['signaling', ['HSET', 'hc:avatars', 'demo', '{}']],
    ['signaling', ['HSET', 'hc:deletions:open', 'x', '{}']],
    ['signaling', ['XADD', 'hc:deletions', '*', 's', '["x"]']],
    ['signaling', ['SET', 'hc:{up:seg_x}', 'x']],
    ['segment-loader', ['SET', 'hc:{snd:snd_x}', '{}']],
    ['segment-loader', ['ZADD', 'hc:senders', '1', 'snd_x']],
    ['segment-loader', ['LPUSH', '{hc:bull}:sessions:wait', 'x']],
    ['segment-loader', ['FLUSHALL']],
  ])('a %s may not run at redis-queue: %j', async (service, command) => {
    await expectDenied(as(service, 'redis-queue'), command);
  });

  async function expectDenied(client: Redis, [command = '', ...args]: readonly string[]): Promise<void> {
    await expect(client.call(command, ...args), command).rejects.toThrow(/NOPERM|can't access|No permissions/);
  }

  it('the demo producer’s key has only the scope speak, also when it replaces a key without scopes', () => {
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
