/**
 * Measures how many sessions a media-sender can host and what each costs, compared with one encoder per viewer, the usual
 * design.
 *
 *     npm run build && node bench/scale.ts [--steps 1,5,20,60,70,80,90,100] [--seconds 10] [--senders 1,2,3] [--json FILE]
 *
 * 720p30 at 1.5 Mb/s with audio, one viewer per session, directly over UDP on loopback. The media-sender has its own core;
 * headless viewers (ICE, DTLS, RTP headers) and everything else use the others. CPU is the kernel's count for the process;
 * every session speaks all the time, so two thirds of it are Opus encoding. Lateness is the sender's own histogram of how
 * long after its deadline each packet was sent, over the measured time only. Memory is the growth of the process per
 * session. Takes about 6 minutes; exits with 1 if an aim is missed. Several media-senders share the cores with everything
 * else, so their figures are not judged.
 */
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Cleanup, LightViewer, LOAD_ENV, makeBusyClip, type StackProcess, withCleanup } from '@humancast/testkit';
import { z } from 'zod';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { allCores, cpuSeconds, pin } from './lib/processes.ts';
import { type Buckets, countedBetween, quantile, readHistogram, sumOf } from './lib/prometheus.ts';
import { openScene, type Scene, temporaryFolder } from './lib/scene.ts';
import { summarize } from './lib/viewer-summary.ts';

const LATENESS_LIMIT_MS = 10;
const AIM_SESSIONS = 60;
const SETTLE_MS = 4000;
const JOIN_INTERVAL_MS = 60;
const ENCODED_SECONDS = 5;
/** Session limit above every step, so that the core is the limit. */
const CAPACITY = 400;
/** Minimum number of sessions for which memory per session is judged: a heap grows in steps. */
const MEMORY_FROM_SESSIONS = 20;
const LATENESS = 'humancast_sender_lateness_seconds';

const statusSchema = z.object({ playing: z.int(), packets: z.int(), lost: z.int(), badTimestamps: z.int() });
type Status = z.infer<typeof statusSchema>;

/** Viewers in their own process. */
class ViewerProcess {
  readonly #child: ChildProcess;

  constructor(cleanup: Cleanup) {
    this.#child = fork(fileURLToPath(import.meta.url), ['viewers']);
    cleanup.add(() => this.#child.kill());
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  join(signalingUrls: readonly string[], session: string, token: string): void {
    this.#child.send({ signalingUrls, session, token });
  }

  async status(): Promise<Status> {
    this.#child.send('status');
    const [message] = (await once(this.#child, 'message')) as [unknown];
    return statusSchema.parse(message);
  }
}

function runViewers(): void {
  const viewers: LightViewer[] = [];
  process.on('message', (message: 'status' | ConstructorParameters<typeof LightViewer>[0]) => {
    if (message !== 'status') viewers.push(new LightViewer(message));
    else process.send?.(summarize(viewers));
  });
  process.on('disconnect', () => process.exit());
}

interface Step {
  readonly sessions: number;
  readonly playing: number;
  readonly corePercent: number;
  readonly cpuMicrosPerPacket: number;
  readonly latenessP99Ms: number;
  /** Growth per session since the first step; for the first step, including code and media that all sessions share. */
  readonly memoryMbPerSession: number;
  readonly first: boolean;
  readonly lost: number;
}

/** @returns the lateness of all packets of all senders so far. */
async function readLateness(senders: readonly StackProcess[]): Promise<Buckets> {
  const tracks = ['track="audio"', 'track="video"'];
  const read = senders.flatMap(({ metricsUrl }) => tracks.map((track) => readHistogram(metricsUrl, LATENESS, track)));
  return sumOf(...(await Promise.all(read)));
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

class ScaleRun {
  readonly #scene: Scene;
  readonly #viewers: ViewerProcess;
  readonly #senders: readonly StackProcess[];
  /** Sessions and memory before the first step, then after it. */
  #base: { readonly sessions: number; readonly mb: number };
  #sessions = 0;

  constructor(scene: Scene, viewers: ViewerProcess) {
    this.#scene = scene;
    this.#viewers = viewers;
    this.#senders = scene.stack.processes.filter(({ name }) => name === 'media-sender');
    this.#base = { sessions: 0, mb: this.#residentMb() };
  }

  async measure(sessions: number, seconds: number): Promise<Step> {
    const { stack, producer } = this.#scene;
    for (; this.#sessions < sessions; this.#sessions++) {
      const { id, token } = await producer.createSession('bench');
      this.#viewers.join(stack.signalingUrls, id, token);
      await sleep(JOIN_INTERVAL_MS);
    }
    await sleep(SETTLE_MS);
    const [before, buckets, cpu, startedMs] = [
      await this.#viewers.status(),
      await readLateness(this.#senders),
      this.#cpuSeconds(),
      performance.now(),
    ];
    await sleep(seconds * 1000);
    const [usedSeconds, wallSeconds] = [this.#cpuSeconds() - cpu, (performance.now() - startedMs) / 1000];
    const { sessions: fewer, mb } = this.#base;
    const memoryMbPerSession = (this.#residentMb() - mb) / (sessions - fewer);
    if (fewer === 0) this.#base = { sessions, mb: this.#residentMb() };
    const [after, bucketsAfter] = [await this.#viewers.status(), await readLateness(this.#senders)];
    return {
      sessions,
      playing: after.playing,
      corePercent: (100 * usedSeconds) / wallSeconds,
      cpuMicrosPerPacket: (1e6 * usedSeconds) / (after.packets - before.packets),
      latenessP99Ms: 1000 * quantile(countedBetween(buckets, bucketsAfter), 0.99),
      memoryMbPerSession,
      first: fewer === 0,
      lost: after.lost - before.lost,
    };
  }

  #cpuSeconds(): number {
    return this.#senders.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  }

  #residentMb(): number {
    return this.#senders.reduce((sum, { pid }) => sum + residentMb(pid), 0);
  }
}

/** Runs the steps on a number of media-senders, until one cannot keep up. */
async function measureSteps(
  mediaDir: string,
  senders: number,
  steps: readonly number[],
  seconds: number,
): Promise<Step[]> {
  return withCleanup(async (cleanup) => {
    const scene = await openScene(cleanup, {
      senders,
      turn: false,
      mediaDir,
      env: { MAX_SESSIONS: String(CAPACITY), ...LOAD_ENV },
    });
    const viewers = new ViewerProcess(cleanup);
    const [first, ...others] = allCores();
    if (first !== undefined && others.length > 0 && senders === 1) {
      pin(scene.senderPid, [first]);
      for (const { pid, name } of scene.stack.processes) if (name !== 'media-sender') pin(pid, others);
      pin(viewers.pid, others);
    }
    // Wait until the idle clip is loaded.
    await scene.producer.endSession((await scene.producer.createSession('bench')).id);
    await sleep(1000);
    const run = new ScaleRun(scene, viewers);
    const results: Step[] = [];
    for (const sessions of steps) {
      const step = await run.measure(sessions, seconds);
      results.push(step);
      process.stderr.write(`${senders} senders, ${stepLine(step)}\n`);
      if (!keepsUp(step) && sessions >= AIM_SESSIONS) break;
    }
    return results;
  });
}

function keepsUp({ sessions, playing, latenessP99Ms }: Step): boolean {
  return playing === sessions && latenessP99Ms <= LATENESS_LIMIT_MS;
}

function stepLine({
  sessions,
  playing,
  corePercent,
  cpuMicrosPerPacket,
  latenessP99Ms,
  memoryMbPerSession,
}: Step): string {
  return (
    `${sessions} sessions (${playing} play): ${corePercent.toFixed(0)} % of a core, ${cpuMicrosPerPacket.toFixed(1)} µs per packet,  ` +
    `p99 of lateness ${latenessP99Ms.toFixed(1)} ms, ${memoryMbPerSession.toFixed(1)} MB per session`
  );
}

/** @returns the number of viewers per core with an encoder each: libvpx on frames in memory, at full speed. */
function encodersPerCore(folder: string): number {
  const raw = join(folder, 'raw.y4m');
  const video = `testsrc2=s=1280x720:r=30,noise=alls=12:allf=t`;
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    video,
    '-t',
    `${ENCODED_SECONDS}`,
    '-pix_fmt',
    'yuv420p',
    raw,
  ]);
  const before = childCpuSeconds();
  execFileSync('ffmpeg', [
    '-v',
    'error',
    '-threads',
    '1',
    '-i',
    raw,
    '-c:v',
    'libvpx',
    '-deadline',
    'realtime',
    '-cpu-used',
    '8',
    '-threads',
    '1',
    '-b:v',
    '1500k',
    '-maxrate',
    '1500k',
    '-bufsize',
    '1500k',
    '-f',
    'null',
    '-',
  ]);
  return ENCODED_SECONDS / (childCpuSeconds() - before);
}

/** @returns CPU seconds of all children that have ended: fields 16 and 17 of proc(5), in ticks of 10 ms. */
function childCpuSeconds(): number {
  const fields = readFileSync('/proc/self/stat', 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

/** @param alone whether the media-sender had its own core. */
function stepFigures(group: string, step: Step, alone: boolean): Figure[] {
  const name = `${step.sessions} sessions`;
  const { sessions, first } = step;
  return [
    {
      group,
      name: `${name}: lateness, p99`,
      value: step.latenessP99Ms,
      unit: 'ms',
      ...(alone && sessions <= AIM_SESSIONS && { aim: { atMost: LATENESS_LIMIT_MS } }),
    },
    { group, name: `${name}: CPU of a core`, value: step.corePercent, unit: '%' },
    { group, name: `${name}: CPU per packet`, value: step.cpuMicrosPerPacket, unit: 'µs', note: `${step.lost} lost` },
    first
      ? { group, name: `${name}: memory, including shared`, value: step.memoryMbPerSession * sessions, unit: 'MB' }
      : {
          group,
          name: `${name}: memory per additional session`,
          value: step.memoryMbPerSession,
          unit: 'MB',
          ...(alone && sessions >= MEMORY_FROM_SESSIONS && { aim: { atMost: 4 } }),
        },
  ];
}

function best(steps: readonly Step[]): number {
  return Math.max(0, ...steps.filter(keepsUp).map(({ sessions }) => sessions));
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '1,5,20,60,70,80,90,100' },
      seconds: { type: 'string', default: '10' },
      senders: { type: 'string', default: '1,2,3' },
      json: { type: 'string' },
    },
  });
  const numbers = (text: string) => text.split(',').map(Number);
  const machine = describeMachine();
  const figures = await withCleanup(async (cleanup) => {
    const mediaDir = temporaryFolder(cleanup);
    await makeBusyClip(join(mediaDir, 'bench/idle/idle.mov'), { seconds: 10, fps: 30, size: '1280x720' });
    const steps = numbers(values.steps);
    const found: Figure[] = [];
    for (const senders of numbers(values.senders)) {
      const group = `${senders} media-sender${senders === 1 ? '' : 's'}`;
      const results = await measureSteps(
        mediaDir,
        senders,
        senders === 1 ? steps : steps.filter((n) => n <= AIM_SESSIONS),
        Number(values.seconds),
      );
      found.push(...results.flatMap((step) => stepFigures(group, step, senders === 1)));
      if (senders === 1) found.push(...capacityFigures(best(results), encodersPerCore(temporaryFolder(cleanup))));
    }
    return found;
  });
  reportFigures({ bench: 'scale', machine, figures, json: values.json });
}

function capacityFigures(sessions: number, encoders: number): Figure[] {
  const group = 'Sessions per core, 720p30 at 1.5 Mb/s';
  const note = 'largest step that kept up';
  return [
    {
      group,
      name: 'encoded once for all viewers',
      aim: { atLeast: AIM_SESSIONS },
      value: sessions,
      unit: '',
      digits: 0,
      note,
    },
    { group, name: 'an encoder per viewer (libvpx)', value: encoders, unit: '' },
    { group, name: 'ratio', value: sessions / encoders, unit: '×' },
  ];
}

if (process.argv[2] === 'viewers') runViewers();
else await main();
