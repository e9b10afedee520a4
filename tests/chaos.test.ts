import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BULL_PREFIX, keys, SESSIONS_QUEUE } from '@humancast/shared';
import {
  Footprint,
  LOAD_ENV,
  makeBusyClip,
  makePlainClip,
  type Stack,
  type StackProcess,
  startStack,
  waitFor,
  withCleanup,
} from '@humancast/testkit';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkHistory } from '../bench/faults/check/check.ts';
import { FAULTS, type Fault } from '../bench/faults/faults.ts';
import { HARD_FAULTS, SHORT_PACE } from '../bench/faults/hard-faults.ts';
import { runStep, stepLine, watchStalls } from '../bench/faults/hard-run.ts';
import { openHardScene } from '../bench/faults/hard-scene.ts';
import { HistoryFile, readHistory } from '../bench/faults/history.ts';
import { type FaultName, plan } from '../bench/faults/plan.ts';
import { referenceOf } from '../bench/faults/reference.ts';
import { type FaultResult, resultLine, runFault } from '../bench/faults/run.ts';
import { eventFaults, SessionLoad } from '../bench/faults/session-load.ts';

const SESSIONS = 10;
const FPS = 25;
const SEGMENT_SECONDS = 4;
/** A GOP, plus the age of a saved playhead on a busy machine. */
const AGAIN_AFTER_LOSS = 1.5 * FPS;
/** In a hand-over the old host plays until the viewer has switched. */
const AGAIN_AFTER_HAND_OVER = 3 * FPS;

const f = FAULTS;
const SEQUENCE: readonly Fault[] = [
  f.killSender,
  f.stopSender,
  f.killSignaling,
  f.freezeSender,
  f.restartQueueRedis,
  f.refreshPages,
  f.drainSender,
  f.slowQueueRedis,
  f.killSender,
  f.restartTurn,
  f.stopSignaling,
  f.killBoth,
  f.fullQueueRedis,
  f.freezeSender,
  f.killLoader,
  f.slowMediaRedis,
  f.stopSender,
  f.loseViewers,
  f.killSender,
  f.restartQueueRedis,
  f.drainSender,
  f.restartMediaRedis,
];

/** Every fault in turn, while ten sessions speak. */
describe('chaos', () => {
  const media = mkdtempSync(join(tmpdir(), 'humancast-chaos-'));
  const results: FaultResult[] = [];
  let stack: Stack;
  let load: SessionLoad;
  let footprint: Footprint;
  let silenced: string[];

  beforeAll(async () => {
    const clip = { fps: FPS, size: '160x120' };
    await makePlainClip(join(media, 'chaos/idle/idle.mov'), { ...clip, seconds: 3, color: 'gray' });
    await makeBusyClip(join(media, 'chaos/segments/talk.mov'), { ...clip, seconds: SEGMENT_SECONDS });
    stack = await startStack({
      senders: 3,
      signalings: 2,
      mediaDir: media,
      env: { MAX_SESSIONS: '12', RENDITIONS: 'vp8:vp8:160x120:200k', ...LOAD_ENV },
    });
    footprint = await Footprint.of(stack);
    load = await SessionLoad.start({
      stack,
      avatar: 'chaos',
      sessions: SESSIONS,
      segmentName: 'talk',
      segmentMs: SEGMENT_SECONDS * 1250,
      clip: (segment) => referenceOf(stack.redisMedia.url, segment),
    });
    expect(await load.untilAllPlay(20_000)).toEqual([]);
    for (const fault of SEQUENCE) {
      const result = await runFault(load, fault);
      results.push(result);
      console.log(resultLine(result));
    }
    silenced = await load.fallSilent(60_000);
  }, 420_000);

  afterAll(async () => {
    await stack?.stop();
    rmSync(media, { recursive: true, force: true });
  });

  it('every viewer recovers from every fault, and no two hosts send at once', () => {
    expect(results).toHaveLength(SEQUENCE.length);
    expect(results.flatMap(({ fault, problems }) => problems.map((problem) => `${fault}: ${problem}`))).toEqual([]);
  });

  it('every accepted segment is spoken and reported exactly once', async () => {
    expect(silenced).toEqual([]);
    for (const { session, speech } of load.sessions) {
      expect(speech.accepted.length).toBeGreaterThan(5);
      expect(eventFaults(await load.eventsOf(session.id), speech.accepted)).toEqual([]);
    }
  });

  it("a new host resumes at the lost host's frame, or at most a GOP before", () => {
    expect(load.sessions.flatMap(({ playback }) => playback.resumptions).length).toBeGreaterThan(10);
    for (const [i, { fault, framesAgain }] of results.entries()) {
      const limit = SEQUENCE[i]?.overlaps ? AGAIN_AFTER_HAND_OVER : AGAIN_AFTER_LOSS;
      expect(framesAgain, fault).toBeLessThanOrEqual(limit);
    }
    expect(load.sessions.reduce((sum, { playback }) => sum + playback.skips, 0)).toBe(0);
  });

  it('no session, viewer, job, socket, timer or memory is left', async () => {
    await load.stop();
    const redis = new Redis(stack.redisQueue.url);
    const queue = new Queue(SESSIONS_QUEUE, { connection: { url: stack.redisQueue.url }, prefix: BULL_PREFIX });
    try {
      const jobs = () => queue.getJobCounts('waiting', 'active', 'delayed', 'failed', 'completed', 'prioritized');
      await waitFor(
        'no job is left',
        async () => Object.values(await jobs()).reduce((sum, count) => sum + count, 0),
        (count) => count === 0,
        40_000,
      );
      await waitFor(
        'the index of sessions is empty',
        () => redis.zcard(keys.sessionIndex),
        (count) => count === 0,
      );
      await waitFor(
        'only living media-senders are known',
        () => redis.zcard(keys.senderIndex),
        (count) => count === named(stack, 'media-sender').length,
      );
      const lasting = async () => {
        const left: string[] = [];
        for (const key of await redis.keys('hc:{s:*')) if ((await redis.ttl(key)) === -1) left.push(key);
        return left;
      };
      await waitFor('what is left of sessions expires', lasting, (left) => left.length === 0);
      await footprint.settled(stack);
    } finally {
      await queue.close();
      redis.disconnect();
    }
  });
});

function named(stack: Stack, name: string): StackProcess[] {
  return stack.processes.filter((process) => process.name === name);
}

/** `npm run faults` for half a minute each, with short pauses. `FAULTS_SEED` and `FAULTS_MINUTES` override seed and duration. */
describe('seeded faults', () => {
  const seed = Number(process.env['FAULTS_SEED'] ?? 1);
  const minutes = Number(process.env['FAULTS_MINUTES'] ?? 0.6);

  it.each([
    { spread: false, where: 'of sessions on one media-sender each' },
    { spread: true, where: 'of sessions that are spread over several media-senders' },
  ])(
    'violate no guarantee $where',
    async ({ spread }) => {
      const folder = mkdtempSync(join(tmpdir(), 'humancast-history-'));
      const path = join(folder, 'history.jsonl');
      try {
        const history = new HistoryFile(path);
        history.add({ type: 'run', seed, startedAt: new Date().toISOString(), fps: FPS, plan: 'all', spread });
        await withCleanup(async (cleanup) => {
          const scene = await openHardScene(cleanup, { seed, spread, history, sessions: 3, senders: 3, segments: 12 });
          cleanup.add(watchStalls(scene, history));
          const untilMs = performance.now() + minutes * 60_000;
          for (const step of plan(seed, Object.keys(HARD_FAULTS) as FaultName[], SHORT_PACE)) {
            if (performance.now() >= untilMs) break;
            console.log(stepLine(await runStep(scene, step, history)));
          }
          await scene.stop();
        });
        await history.close();
        const { violations, counted } = checkHistory(readHistory(path));
        console.log(JSON.stringify(counted));
        expect(violations, `seed ${seed}`).toEqual([]);
        expect(counted.accepted).toBeGreaterThan(10);
        expect(counted.receivedSegments).toBeGreaterThan(10);
        expect(counted.faults).toBeGreaterThan(3);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    minutes * 60_000 + 240_000,
  );
});
