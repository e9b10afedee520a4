import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  makeTestClip,
  Producer,
  Receiver,
  type Stack,
  startRedisCluster,
  startStack,
  type TestRedisCluster,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { senderProcess } from './support/scene.ts';

/** Only the two URLs differ from other installations. */
describe('stack on two Redis Clusters', () => {
  let clusters: TestRedisCluster[];
  let stack: Stack;
  let producer: Producer;

  beforeAll(async () => {
    clusters = await Promise.all([startRedisCluster({ appendOnly: true }), startRedisCluster()]);
    const [queue, media] = clusters;
    stack = await startStack({
      senders: 2,
      turn: false,
      env: { REDIS_QUEUE_URL: queue?.url ?? '', REDIS_MEDIA_URL: media?.url ?? '' },
    });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2 });
    await producer.idleLoaded('lights');
  });

  afterAll(async () => {
    await stack?.stop();
    await Promise.all((clusters ?? []).map((cluster) => cluster.stop()));
  });

  it('plays, speaks, and hands a session over when its media-sender is stopped', async () => {
    const session = await producer.createSession('lights');
    let packets = 0;
    const receiver = await Receiver.connect({
      signalingUrl: stack.signalingUrl,
      session: session.id,
      token: session.token,
      decrypt: false,
      listener: { packet: () => packets++ },
    });
    const moreArrive = async () => {
      const before = packets;
      await waitFor(
        'media arrives',
        async () => packets,
        (count) => count > before + 100,
      );
    };
    await moreArrive();
    const speech = await producer.upload(
      'lights',
      'red.mp4',
      readFileSync(join(stack.mediaDir, 'lights/idle/red.mp4')),
    );
    await producer.speak(session.id, [speech.id]);
    await waitFor(
      'the speech is over',
      () => producer.pastEvents(session.id),
      (events) => events.some(({ type, segment }) => type === 'speech.finished' && segment === speech.id),
    );
    const host = await producer.hostOf(session.id);
    senderProcess(stack, host).signal('SIGTERM');
    await waitFor(
      'another media-sender hosts the session',
      () => producer.session(session.id),
      (now) => now.state === 'hosted' && now.host !== host,
    );
    await moreArrive();
    expect((await producer.pastEvents(session.id)).filter(({ type }) => type === 'session.moved')).toHaveLength(1);
    receiver.close();
  });
});
