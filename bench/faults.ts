/**
 * Measures what a viewer sees when its media-sender is killed, frozen, stopped or drained.
 *
 *     npm run build && node bench/faults.ts [--kills 30] [--json FILE]
 *
 * One headless viewer watches a speaking session through coturn. Kill and freeze: time from the signal to the first complete
 * frame on a new connection, which starts with a keyframe. SIGTERM and drain: the longest time between two frames around the
 * change of hosts. A killed process is replaced before the next run. Takes about 7 minutes; exits with 1 if an aim is
 * missed.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { LOAD_ENV, makeBusyClip, makePlainClip, withCleanup } from '@humancast/testkit';
import { FAULTS, type Fault } from './faults/faults.ts';
import { referenceOf } from './faults/reference.ts';
import { runFault } from './faults/run.ts';
import { SessionLoad } from './faults/session-load.ts';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const FPS = 25;
const SEGMENT_SECONDS = 60;
const CALM_MS = 1000;

interface Samples {
  readonly gapsMs: number[];
  readonly framesAgain: number[];
  readonly problems: string[];
}

async function repeat(load: SessionLoad, fault: Fault, times: number): Promise<Samples> {
  const samples: Samples = { gapsMs: [], framesAgain: [], problems: [] };
  for (let i = 0; i < times; i++) {
    // Varies the phase relative to the heartbeat.
    await sleep(CALM_MS + Math.random() * 500);
    const { gapMs, framesAgain, problems } = await runFault(load, fault);
    samples.gapsMs.push(gapMs.worst);
    samples.framesAgain.push(framesAgain);
    samples.problems.push(...problems);
    process.stderr.write(problems.length === 0 ? '.' : `\n${fault.name}: ${problems.join('; ')}\n`);
  }
  return samples;
}

function recovery(group: string, { gapsMs, framesAgain, problems }: Samples): Figure[] {
  const ms = { group, unit: 'ms', digits: 0 };
  return [
    { ...ms, name: 'video restored, p50', aim: { atMost: 1500 }, value: percentile(gapsMs, 0.5) },
    { ...ms, name: 'video restored, p95', aim: { atMost: 3000 }, value: percentile(gapsMs, 0.95) },
    { ...ms, name: 'video restored, worst', value: Math.max(...gapsMs), note: `of ${gapsMs.length}` },
    { group, name: 'speech repeated, worst', value: Math.max(...framesAgain) / FPS, unit: 's', note: 'GOPs are 1 s' },
    { group, name: 'problems', aim: { atMost: 0 }, value: problems.length, unit: '', digits: 0 },
  ];
}

function handOver(group: string, { gapsMs, framesAgain, problems }: Samples): Figure[] {
  const ms = { group, unit: 'ms', digits: 0 };
  return [
    { ...ms, name: 'longest time between frames, p50', value: percentile(gapsMs, 0.5) },
    { ...ms, name: 'longest time between frames, worst', aim: { atMost: 200 }, value: Math.max(...gapsMs) },
    { group, name: 'speech repeated, worst', value: Math.max(...framesAgain) / FPS, unit: 's', note: 'GOPs are 1 s' },
    { group, name: 'problems', aim: { atMost: 0 }, value: problems.length, unit: '', digits: 0 },
  ];
}

const { values } = parseArgs({
  options: { kills: { type: 'string', default: '30' }, json: { type: 'string' } },
});
const machine = describeMachine();
const { figures, raw } = await withCleanup(async (cleanup) => {
  const kills = Number(values.kills);
  const fewer = Math.max(1, Math.round(kills / 3));
  const mediaDir = temporaryFolder(cleanup);
  const clip = { fps: FPS, size: '320x240' };
  await makePlainClip(join(mediaDir, 'bench/idle/idle.mov'), { ...clip, seconds: 3, color: 'gray' });
  await makeBusyClip(join(mediaDir, 'bench/segments/talk.mov'), { ...clip, seconds: SEGMENT_SECONDS });
  const { stack } = await openScene(cleanup, {
    senders: 2,
    mediaDir,
    env: { RENDITIONS: 'vp8:vp8:320x240:500k', ...LOAD_ENV },
  });
  const load = await SessionLoad.start({
    stack,
    avatar: 'bench',
    sessions: 1,
    segmentName: 'talk',
    segmentMs: SEGMENT_SECONDS * 1000,
    clip: (segment) => referenceOf(stack.redisMedia.url, segment),
  });
  cleanup.add(() => load.stop());
  await load.untilAllPlay(30_000);
  const kill = await repeat(load, FAULTS.killSender, kills);
  const freeze = await repeat(load, FAULTS.freezeSender, fewer);
  const stop = await repeat(load, FAULTS.stopSender, fewer);
  const drain = await repeat(load, FAULTS.drainSender, fewer);
  process.stderr.write('\n');
  const figures = [
    ...recovery('kill -9', kill),
    ...recovery('SIGSTOP', freeze),
    ...handOver('SIGTERM', stop),
    ...handOver('POST /v1/senders/:id/drain', drain),
  ];
  return { figures, raw: { kill, freeze, stop, drain } };
});
reportFigures({ bench: 'faults', machine, figures, raw, json: values.json });
