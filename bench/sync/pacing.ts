/**
 * Pacing: how late packets leave when one core serves many sessions.
 *
 * The media-sender is pinned to the first core; everything else, including the receivers, uses the others. Each session
 * plays a clip that uses its full 1.5 Mb/s and has one viewer, which connects directly, completes ICE and DTLS, and then
 * reads only RTP headers. The same packets are measured twice:
 *
 * - by the media-sender's own histogram: how long after its deadline each audio packet and each frame was sent;
 * - at the receiver: arrival minus RTP time, less the smallest such difference of the track. This includes delays of the
 *   kernel and the receiving process; of a frame only the first packet counts, because large frames are paced.
 *
 * Limits: with fewer than two cores nothing is isolated; Node's timers have a resolution of a millisecond, so half a
 * millisecond of lateness is the minimum.
 */

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Cleanup } from '@humancast/testkit';
import type { Figure } from '../lib/figures.ts';
import { allCores, cpuSeconds, pin, waitedSeconds } from '../lib/processes.ts';
import { type Buckets, countedBetween, quantile, readHistogram, sumOf } from '../lib/prometheus.ts';
import { openScene, type Scene } from '../lib/scene.ts';
import type { SinkCommand, SinkReport } from './sink.ts';

const SINK = fileURLToPath(new URL('./sink.ts', import.meta.url));
const LATENESS = 'humancast_sender_lateness_seconds';
/** The first seconds contain the start of every session. */
const SETTLE_MS = 3000;

export async function measurePacing(
  cleanup: Cleanup,
  options: { mediaDir: string; avatar: string; sessions: number; seconds: number },
): Promise<Figure[]> {
  const cores = allCores();
  const apart = cores.length > 1 && pin(process.pid, cores.slice(1));
  cleanup.add(() => pin(process.pid, cores));
  const { mediaDir, sessions } = options;
  const scene = await openScene(cleanup, { mediaDir, turn: false, env: { MAX_SESSIONS: String(sessions) } });
  const kept = apart && pin(scene.senderPid, [0]);
  const viewers = [];
  for (let i = 0; i < sessions; i++) viewers.push(await scene.producer.createSession(options.avatar));
  const { signalingUrl } = scene.stack;
  const sink = startSink(cleanup);
  await sink.do({ connect: viewers.map(({ id, token }) => ({ signalingUrl, session: id, token })) });
  await sleep(SETTLE_MS);
  const window = await openWindow(scene);
  await sink.do({ measure: options.seconds });
  const seen = await window.close();
  const report = await sink.do({ report: true });
  return figuresOf({ ...seen, report, sessions, kept });
}

function startSink(cleanup: Cleanup) {
  const child = fork(SINK, { stdio: 'inherit' });
  cleanup.add(() => child.kill());
  const failed = once(child, 'exit').then(() => {
    throw new Error('the receivers ended');
  });
  failed.catch(() => {});
  return {
    async do(command: SinkCommand): Promise<SinkReport> {
      const answered = once(child, 'message');
      child.send(command);
      const [report] = (await Promise.race([answered, failed])) as [SinkReport];
      return report;
    },
  };
}

async function openWindow({ stack, senderPid }: Scene) {
  const url = stack.processes.find(({ name }) => name === 'media-sender')?.metricsUrl ?? '';
  const read = () => Promise.all(['audio', 'video'].map((track) => readHistogram(url, LATENESS, `track="${track}"`)));
  const before = await read();
  const [cpuBefore, waitedBefore, fromMs] = [cpuSeconds(senderPid), waitedSeconds(senderPid), performance.now()];
  return {
    async close() {
      const seconds = (performance.now() - fromMs) / 1000;
      const senderCpu = (cpuSeconds(senderPid) - cpuBefore) / seconds;
      const senderWaited = (waitedSeconds(senderPid) - waitedBefore) / seconds;
      const after = await read();
      const lateness = sumOf(...after.map((buckets, i) => countedBetween(before[i] ?? new Map(), buckets)));
      return { lateness, senderCpu, senderWaited };
    },
  };
}

function figuresOf(measured: {
  lateness: Buckets;
  report: SinkReport;
  senderCpu: number;
  senderWaited: number;
  sessions: number;
  kept: boolean;
}): Figure[] {
  const { lateness, report, senderCpu, senderWaited, sessions, kept } = measured;
  const ms = {
    group: `Pacing, ${sessions} sessions ${kept ? 'on one core' : '(cores could not be kept apart)'}`,
    unit: 'ms',
  };
  const own = (share: number) => quantile(lateness, share) * 1000;
  const seen = report.latenessMs;
  return [
    { ...ms, name: 'sent late, p50', value: own(0.5), note: "the media-sender's own histogram" },
    { ...ms, name: 'sent late, p99', aim: { atMost: 5 }, value: own(0.99) },
    { ...ms, name: 'sent late, p99.9', aim: { atMost: 15 }, value: own(0.999) },
    { ...ms, name: 'arrived late, p50', value: seen.p50, note: `${report.packets} packets at the receivers` },
    { ...ms, name: 'arrived late, p99', aim: { atMost: 5 }, value: seen.p99 },
    { ...ms, name: 'arrived late, p99.9', aim: { atMost: 15 }, value: seen.p999 },
    { ...ms, name: 'first to last packet of a frame, p99', value: report.frameSpreadMs.p99 },
    { ...ms, name: "the receivers' own event loop, p99", value: report.loopDelayMs, note: 'included in arrived late' },
    { ...ms, unit: '% of a core', digits: 2, name: 'CPU per session', value: (senderCpu / sessions) * 100 },
    {
      ...ms,
      unit: '% of the time',
      digits: 2,
      name: 'ready without a core',
      value: senderWaited * 100,
      note: 'other processes of the machine',
    },
    { ...ms, unit: 'packets', digits: 0, name: 'lost', aim: { atMost: 0 }, value: report.lost },
  ];
}
