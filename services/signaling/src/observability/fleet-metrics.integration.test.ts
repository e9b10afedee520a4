import {
  newId,
  openQueue,
  SegmentQueues,
  SenderRegistry,
  VIEWERS_QUEUE,
  type ViewerJob,
  viewerJobId,
} from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

/** @returns One value of a `/metrics` page. */
function figure(page: string, name: string, labels: Record<string, string>): number | undefined {
  const line = page
    .split('\n')
    .find(
      (candidate) =>
        candidate.startsWith(`${name}{`) &&
        Object.entries(labels).every(([label, value]) => candidate.includes(`${label}="${value}"`)),
    );
  return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ')));
}

describe('fleet metrics', () => {
  let stack: TestStack;
  beforeAll(async () => {
    stack = await TestStack.start();
  });
  afterAll(() => stack.stop());

  it('count waiting sessions with the age of the oldest, then hosted ones', async () => {
    const signaling = await stack.signaling({}, { sessionSweepMs: 20 });
    const viewer = await TestViewer.join(signaling, await signaling.makeSession());
    await viewer.received('waiting');
    const jobs = (page: string, state: string) => figure(page, 'humancast_queue_jobs', { queue: 'sessions', state });
    const waiting = await waitFor('the job to be counted', async () => {
      const page = await signaling.metrics();
      return jobs(page, 'waiting') === 1 ? page : undefined;
    });
    expect(figure(waiting, 'humancast_queue_oldest_seconds', { queue: 'sessions' })).toBeGreaterThan(0);
    await waitFor('the session to be seen', async () => {
      return figure(await signaling.metrics(), 'humancast_sessions', { state: 'queued' }) === 1;
    });
    const sender = await FakeSender.start(stack.queueUrl);
    await viewer.received('offer');
    await waitFor('the host to be seen', async () => {
      const page = await signaling.metrics();
      const hosted = figure(page, 'humancast_sessions', { state: 'hosted' });
      return hosted === 1 && jobs(page, 'active') === 1 && jobs(page, 'waiting') === 0;
    });
    viewer.ws.close();
    await sender.stop();
    await signaling.close();
  });

  it("report the databases' memory, and a database that is down, without delaying the scrape", async () => {
    const own = await TestStack.start();
    const signaling = await own.signaling();
    const before = await signaling.metrics();
    for (const redis of ['queue', 'media']) {
      expect(figure(before, 'humancast_redis_up', { redis })).toBe(1);
      const used = figure(before, 'humancast_redis_memory_bytes', { redis }) ?? 0;
      expect(used).toBeGreaterThan(100_000);
      expect(figure(before, 'humancast_redis_memory_limit_bytes', { redis })).toBe(0);
      expect(figure(before, 'humancast_redis_disk_ok', { redis })).toBe(1);
    }
    await own.kill('media');
    const after = await waitFor('the database to be missed', async () => {
      const page = await signaling.metrics();
      return figure(page, 'humancast_redis_up', { redis: 'media' }) === 0 ? page : undefined;
    });
    expect(figure(after, 'humancast_redis_memory_bytes', { redis: 'media' })).toBeUndefined();
    expect(figure(after, 'humancast_redis_up', { redis: 'queue' })).toBe(1);
    await own.stop();
  });

  it('count viewers that wait for a media-sender, once for each attempt', async () => {
    const signaling = await stack.signaling();
    const queue = openQueue<ViewerJob>(VIEWERS_QUEUE, stack.queue);
    const job = { session: newId('ses'), viewer: newId('vw'), attempt: 1 };
    for (const waiting of [job, job, { ...job, attempt: 2 }]) {
      await queue.add('viewer', waiting, { jobId: viewerJobId(waiting) });
    }
    const page = await signaling.metrics();
    expect(figure(page, 'humancast_queue_jobs', { queue: 'viewers', state: 'waiting' })).toBe(2);
    await queue.obliterate({ force: true });
    await queue.close();
    await signaling.close();
  });

  it('sum the segment queues of all media-senders', async () => {
    const queues = new SegmentQueues(stack.queue);
    const senders = new SenderRegistry(stack.queue);
    const load = { sessions: 0, viewers: 0, viewerCapacity: 0, capacity: 1, draining: false, accepting: true };
    for (const id of [newId('snd'), newId('snd')]) {
      await senders.beat({ id, mailbox: id, ...load, startedAtMs: 1, hostname: 'test' }, 60_000);
      await queues.announce(id, [
        { session: newId('ses'), seq: 1, segment: newId('seg') },
        { session: newId('ses'), seq: 1, segment: newId('seg') },
      ]);
    }
    const signaling = await stack.signaling();
    const page = await signaling.metrics();
    expect(figure(page, 'humancast_queue_jobs', { queue: 'segments', state: 'waiting' })).toBe(4);
    await signaling.close();
    await queues.close();
  });
});
