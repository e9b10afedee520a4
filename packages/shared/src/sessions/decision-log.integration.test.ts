import { startRedis, type TestRedis, waitFor } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogger } from '../log.js';
import { newId } from '../new-id.js';
import { StreamFeed } from '../stream-feed.js';
import type { Decisions } from './decision-codec.js';
import { DecisionLog } from './decision-log.js';
import { SessionRegistry } from './session-registry.js';

describe('DecisionLog', () => {
  let server: TestRedis;
  let redis: Redis;
  let subscriber: Redis;
  let log: DecisionLog;
  beforeAll(async () => {
    server = await startRedis();
    redis = new Redis(server.url);
    subscriber = new Redis(server.url);
    log = new DecisionLog(redis, new StreamFeed(subscriber, createLogger('test', 'silent')));
  });
  afterAll(async () => {
    redis.disconnect();
    subscriber.disconnect();
    await server.stop();
  });

  async function hosted(): Promise<string> {
    const id = newId('ses');
    const registry = new SessionRegistry(redis);
    await registry.create(id, 'demo');
    await registry.requestHost(id);
    expect(await registry.claim(id, 1, newId('snd'))).toBe(true);
    return id;
  }

  const segment = newId('seg');
  const decided = (i: number, epoch = 1): Decisions => ({
    epoch,
    anchorMs: 1_700_000_000_000.5,
    audioSamples: 1920 * i,
    frames: [{ entry: 1, segment, startSamples: 0, first: i, count: 1 }],
    next: [{ segment, seq: 0, positionSamples: 0 }],
    after: { segment, seq: 1, positionSamples: 1920 * (i + 1) },
    opus: [Buffer.from([i, 1]), Buffer.from([i, 2])],
  });

  it('passes on what is left of the decisions to a follower that begins late, and all further ones', async () => {
    const id = await hosted();
    const publish = log.publisher(id);
    for (let i = 0; i < 110; i++) expect(await publish(decided(i))).toBeGreaterThan(0);
    const followed: Decisions[] = [];
    const stop = log.follow(id, (decisions) => followed.push(decisions));
    for (let i = 110; i < 140; i++) await publish(decided(i));
    await waitFor(
      'the last decisions',
      async () => followed.at(-1)?.audioSamples,
      (samples) => samples === 1920 * 139,
    );
    stop();
    // The first ten were trimmed, and a key entry is every 25.
    expect(followed).toEqual(Array.from({ length: 140 - 25 }, (_, i) => decided(25 + i)));
    expect(await log.last(id)).toEqual(decided(139));
  });

  it('publishes nothing for a host whose epoch is over', async () => {
    const id = await hosted();
    expect(await log.publisher(id)(decided(0, 2))).toBeUndefined();
    expect(await log.last(id)).toBeUndefined();
  });
});
