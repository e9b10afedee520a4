/**
 * Measures how many sessions, or viewers of one session, a media-sender can serve and what each costs, compared with one
 * encoder per viewer, the usual design.
 *
 *     npm run build && node bench/scale.ts [--steps 1,20,60,100,150,200,250] [--seconds 10] [--senders 1,2,3]
 *         [--broadcast 100,200,400,800] [--relayed 20]
 *         [--relay-threads default,1] [--busy 0] [--drain] [--profile FOLDER] [--json FILE]
 *
 * 720p30 at 1.5 Mb/s with audio, directly over UDP on loopback; one viewer per session, then as many viewers of one session as
 * `--broadcast` names, and `--relayed` sessions whose viewers are behind coturn. The media-sender has its own core; headless viewers (ICE, DTLS, RTP headers) and everything else use the
 * others. CPU is the kernel's count for the process; every session speaks all the time. Lateness is the sender's own histogram of
 * how long after its deadline each packet was sent, over the measured time only. Memory is the growth of the process per session.
 * If the viewers' process takes a whole core, it is the limit, and lost packets are its own. Takes about 8 minutes; exits with 1
 * if an aim is missed. Several media-senders share the cores with everything else, so their figures are not judged.
 *
 * `--relay-threads` measures the relayed sessions with each of these settings of coturn. `--busy` runs so many processes beside it that never wait, on all cores. With `REALTIME_PRIORITY=0` in the environment
 * it shows what the real-time priority brings.
 *
 * With `--drain` viewers join and report, but do not read media while it measures: the kernel delivers it into full buffers and
 * drops it. That is for machines whose other cores cannot feed so many viewers; what is lost then is not the media-sender's.
 *
 * `--profile` writes a CPU profile of each media-sender, which makes it slower.
 */
import { type ChildProcess, execFileSync, fork, spawn } from 'node:child_process';
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
import { type Buckets, countedBetween, quantile, readHistogram, readSum, sumOf } from './lib/prometheus.ts';
import { openScene, type Scene, temporaryFolder } from './lib/scene.ts';
import { summarize } from './lib/viewer-summary.ts';

const LATENESS_LIMIT_MS = 10;
/** Longest lateness of one packet in a thousand, ms, up to `TAIL_SESSIONS`. */
const TAIL_LIMIT_MS = 20;
const TAIL_SESSIONS = 60;
const AIM_SESSIONS = 250;
const AIM_VIEWERS = 800;
/** Above this share of its core, a single media-sender can serve no more. */
const SATURATED_PERCENT = 95;
const SETTLE_MS = 4000;
const JOIN_INTERVAL_MS = 30;
/** Time in which viewers that did not read read what has arrived, and play again. */
const RESUME_MS = 3000;
const ENCODED_SECONDS = 5;
/** Limit of sessions and viewers above every step, so that the core is the limit. */
const CAPACITY = 1000;
/** Minimum number of sessions for which memory per session is judged: a heap grows in steps. */
const MEMORY_FROM_SESSIONS = 20;
const MEMORY_LIMIT_MB = 0.3;
const LATENESS = 'humancast_sender_lateness_seconds';
const GC = 'nodejs_gc_duration_seconds';

const statusSchema = z.object({ playing: z.int(), packets: z.int(), lost: z.int(), badTimestamps: z.int() });
type Status = z.infer<typeof statusSchema>;

type Question = 'status' | 'read' | 'drain';

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

  /** Stops or starts reading of media by all viewers. */
  async setReading(reading: boolean): Promise<void> {
    await this.#ask(reading ? 'read' : 'drain');
  }

  async status(): Promise<Status> {
    return statusSchema.parse(await this.#ask('status'));
  }

  async #ask(what: Question): Promise<unknown> {
    this.#child.send(what);
    const [message] = (await once(this.#child, 'message')) as [unknown];
    return message;
  }
}

function runViewers(): void {
  const viewers: LightViewer[] = [];
  process.on('message', (message: Question | ConstructorParameters<typeof LightViewer>[0]) => {
    if (typeof message === 'object') return void viewers.push(new LightViewer(message));
    if (message !== 'status') for (const viewer of viewers) viewer.setReading(message === 'read');
    process.send?.(summarize(viewers));
  });
  process.on('disconnect', () => process.exit());
}

interface Step {
  /** Number of sessions with a viewer each, or of viewers of one session. */
  readonly sessions: number;
  readonly playing: number;
  readonly corePercent: number;
  readonly cpuMicrosPerPacket: number;
  /** Packets a second to each viewer. */
  readonly packetsPerSecond: number;
  readonly latenessP99Ms: number;
  readonly latenessP999Ms: number;
  /** Time in garbage collection, of a core. */
  readonly gcPercent: number;
  /** CPU of coturn for each packet, if viewers are behind it. */
  readonly relayMicrosPerPacket: number | undefined;
  /** CPU of each other process, of a core. */
  readonly othersPercent: Readonly<Record<string, number>>;
  /** CPU of the viewers' process, of a core. */
  readonly viewersPercent: number;
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

/** @returns the time that all senders have spent in garbage collection, s. */
async function readGcSeconds(senders: readonly StackProcess[]): Promise<number> {
  const kinds = ['major', 'minor', 'incremental', 'weakcb'].map((kind) => `kind="${kind}"`);
  const read = senders.flatMap(({ metricsUrl }) => kinds.map((kind) => readSum(metricsUrl, GC, kind)));
  return (await Promise.all(read)).reduce((total, { sum }) => total + sum, 0);
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
  /** The session of all viewers, if there is one. */
  #shared: { readonly id: string; readonly token: string } | undefined;
  readonly #isShared: boolean;
  readonly #drain: boolean;

  constructor(scene: Scene, viewers: ViewerProcess, { isShared = false, drain = false }) {
    this.#scene = scene;
    this.#isShared = isShared;
    this.#drain = drain;
    this.#viewers = viewers;
    this.#senders = scene.stack.processes.filter(({ name }) => name === 'media-sender');
    this.#base = { sessions: 0, mb: this.#residentMb() };
  }

  async measure(sessions: number, seconds: number): Promise<Step> {
    const { stack, producer } = this.#scene;
    for (; this.#sessions < sessions; this.#sessions++) {
      const { id, token } = this.#shared ?? (await producer.createSession('bench'));
      if (this.#isShared) this.#shared = { id, token };
      this.#viewers.join(stack.signalingUrls, id, token);
      await sleep(JOIN_INTERVAL_MS);
    }
    await sleep(SETTLE_MS);
    const [before, buckets, gc] = [
      await this.#viewers.status(),
      await readLateness(this.#senders),
      await readGcSeconds(this.#senders),
    ];
    const relayPid = stack.turn?.pid;
    const relayCpu = () => (relayPid === undefined ? Number.NaN : cpuSeconds(relayPid));
    const others = this.#others();
    const othersCpu = others.map(({ pid }) => cpuSeconds(pid));
    const [cpu, viewersCpu, relayBefore] = [this.#cpuSeconds(), cpuSeconds(this.#viewers.pid), relayCpu()];
    const startedMs = performance.now();
    if (this.#drain) await this.#viewers.setReading(false);
    await sleep(seconds * 1000);
    const [usedSeconds, wallSeconds] = [this.#cpuSeconds() - cpu, (performance.now() - startedMs) / 1000];
    const viewersSeconds = cpuSeconds(this.#viewers.pid) - viewersCpu;
    const relaySeconds = relayCpu() - relayBefore;
    const othersPercent = Object.fromEntries(
      others.map(({ name, pid }, i) => [name, (100 * (cpuSeconds(pid) - (othersCpu[i] ?? 0))) / wallSeconds]),
    );
    const { sessions: fewer, mb } = this.#base;
    const memoryMbPerSession = (this.#residentMb() - mb) / (sessions - fewer);
    if (fewer === 0) this.#base = { sessions, mb: this.#residentMb() };
    const lateness = countedBetween(buckets, await readLateness(this.#senders));
    if (this.#drain) {
      await this.#viewers.setReading(true);
      await sleep(RESUME_MS);
    }
    const after = await this.#viewers.status();
    // What was not read shows as lost; it was sent all the same.
    const passed = after.packets + after.lost - before.packets - before.lost;
    const packets = this.#drain ? (passed * wallSeconds) / (wallSeconds + RESUME_MS / 1000) : passed;
    return {
      sessions,
      playing: after.playing,
      corePercent: (100 * usedSeconds) / wallSeconds,
      cpuMicrosPerPacket: (1e6 * usedSeconds) / packets,
      packetsPerSecond: packets / wallSeconds / sessions,
      latenessP99Ms: 1000 * quantile(lateness, 0.99),
      latenessP999Ms: 1000 * quantile(lateness, 0.999),
      gcPercent: (100 * ((await readGcSeconds(this.#senders)) - gc)) / wallSeconds,
      viewersPercent: (100 * viewersSeconds) / wallSeconds,
      relayMicrosPerPacket: relayPid === undefined ? undefined : (1e6 * relaySeconds) / packets,
      othersPercent,
      memoryMbPerSession,
      first: fewer === 0,
      lost: after.lost - before.lost,
    };
  }

  /** What the media-senders share. */
  #others(): { readonly name: string; readonly pid: number }[] {
    const { redisQueue, redisMedia, processes } = this.#scene.stack;
    const signaling = processes.filter(({ name }) => name === 'signaling');
    return [{ name: 'redis-queue', pid: redisQueue.pid }, { name: 'redis-media', pid: redisMedia.pid }, ...signaling];
  }

  #cpuSeconds(): number {
    return this.#senders.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
  }

  #residentMb(): number {
    return this.#senders.reduce((sum, { pid }) => sum + residentMb(pid), 0);
  }
}

interface MeasureOptions {
  readonly mediaDir: string;
  readonly seconds: number;
  readonly profile: string | undefined;
  /** Whether viewers do not read while the sender is measured, so that they take none of its CPU. */
  readonly drain: boolean;
}

/** Runs the steps on a number of media-senders, until one cannot keep up. */
async function measureSteps(
  { mediaDir, seconds, profile, drain }: MeasureOptions,
  senders: number,
  steps: readonly number[],
  {
    isShared = false,
    isRelayed = false,
    turnSettings = [],
  }: { isShared?: boolean; isRelayed?: boolean; turnSettings?: readonly string[] } = {},
): Promise<Step[]> {
  const env = { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profile}` };
  return withCleanup(async (cleanup) => {
    const scene = await openScene(cleanup, {
      senders,
      turn: isRelayed,
      turnSettings,
      mediaDir,
      env: {
        MAX_SESSIONS: String(CAPACITY),
        MAX_VIEWERS: String(CAPACITY),
        HOST_VIEWERS: String(CAPACITY),
        VIEWERS_PER_SESSION: String(CAPACITY),
        // These viewers report no bandwidth, so of a ladder they would get a lower rung.
        RENDITIONS: 'vp8:vp8:1280x720:1500k',
        ...LOAD_ENV,
      },
      place: async ({ name }) => (profile !== undefined && name === 'media-sender' ? { env } : {}),
    });
    const viewers = new ViewerProcess(cleanup);
    const [first, ...others] = allCores();
    if (first !== undefined && others.length > 0 && senders === 1) {
      pin(scene.senderPid, [first]);
      for (const { pid, name } of scene.stack.processes) if (name !== 'media-sender') pin(pid, others);
      pin(viewers.pid, others);
      if (scene.stack.turn) pin(scene.stack.turn.pid, others);
    }
    // Wait until the idle clip is loaded.
    await scene.producer.endSession((await scene.producer.createSession('bench')).id);
    await sleep(1000);
    const run = new ScaleRun(scene, viewers, { isShared, drain });
    const results: Step[] = [];
    for (const sessions of steps) {
      const step = await run.measure(sessions, seconds);
      results.push(step);
      process.stderr.write(`${senders} senders, ${stepLine(step, isShared)}\n`);
      if (step.playing < sessions || step.corePercent > SATURATED_PERCENT) break;
    }
    return results;
  });
}

/** Starts processes that start short ones, one after the other, as a build does; for at most an hour. */
function keepBusy(cleanup: Cleanup, processes: number): void {
  const work = `for (const end = Date.now() + 300; Date.now() < end; ) JSON.parse(JSON.stringify(process.report.getReport()));`;
  const loop = `for (const end = Date.now() + 3_600_000; Date.now() < end; )
    require('node:child_process').spawnSync(process.execPath, ['-e', ${JSON.stringify(work)}]);`;
  for (let i = 0; i < processes; i++) {
    const busy = spawn(process.execPath, ['-e', loop]);
    cleanup.add(() => busy.kill());
  }
}

function keepsUp({ sessions, playing, latenessP99Ms }: Step): boolean {
  return playing === sessions && latenessP99Ms <= LATENESS_LIMIT_MS;
}

function stepLine(step: Step, isShared: boolean): string {
  const { sessions, playing, corePercent, cpuMicrosPerPacket, latenessP99Ms, latenessP999Ms, memoryMbPerSession } =
    step;
  return (
    `${sessions} ${nounOf(isShared)} (${playing} play): ${corePercent.toFixed(0)} % of a core, ` +
    `${cpuMicrosPerPacket.toFixed(1)} µs per packet of ${step.packetsPerSecond.toFixed(0)} a second each, lateness p99 ${latenessP99Ms.toFixed(1)}, p99.9 ${latenessP999Ms.toFixed(1)} ms, ` +
    `${memoryMbPerSession.toFixed(1)} MB each, GC ${step.gcPercent.toFixed(1)} %, viewers' process ${step.viewersPercent.toFixed(0)} %`
  );
}

function nounOf(isShared: boolean): string {
  return isShared ? 'viewers of one session' : 'sessions';
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
function stepFigures(group: string, step: Step, alone: boolean, isShared = false): Figure[] {
  const { sessions, first } = step;
  const name = `${sessions} ${nounOf(isShared)}`;
  const isAimed = alone && sessions <= (isShared ? AIM_VIEWERS : AIM_SESSIONS);
  const ms = { group, unit: 'ms' };
  return [
    {
      ...ms,
      name: `${name}: lateness, p99`,
      value: step.latenessP99Ms,
      ...(isAimed && { aim: { atMost: LATENESS_LIMIT_MS } }),
    },
    {
      ...ms,
      name: `${name}: lateness, p99.9`,
      value: step.latenessP999Ms,
      ...(alone && !isShared && sessions <= TAIL_SESSIONS && { aim: { atMost: TAIL_LIMIT_MS } }),
    },
    { group, name: `${name}: CPU of a core`, value: step.corePercent, unit: '%' },
    { group, name: `${name}: CPU per packet`, value: step.cpuMicrosPerPacket, unit: 'µs', note: `${step.lost} lost` },
    { group, name: `${name}: packets a second to each viewer`, value: step.packetsPerSecond, unit: '', digits: 0 },
    { group, name: `${name}: garbage collection, of a core`, value: step.gcPercent, unit: '%' },
    { group, name: `${name}: CPU of the viewers' process`, value: step.viewersPercent, unit: '%' },
    ...Object.entries(step.othersPercent).map(([process, value]) => ({
      group,
      name: `${name}: CPU of ${process}, of a core`,
      value,
      unit: '%',
    })),
    first
      ? { group, name: `${name}: memory, including shared`, value: step.memoryMbPerSession * sessions, unit: 'MB' }
      : {
          group,
          name: `${name}: memory for each further one`,
          value: step.memoryMbPerSession,
          unit: 'MB',
          digits: 2,
          ...(alone && sessions >= MEMORY_FROM_SESSIONS && { aim: { atMost: MEMORY_LIMIT_MB } }),
        },
  ];
}

/** @returns what a viewer behind coturn costs besides. */
function relayFigures({ sessions, relayMicrosPerPacket = Number.NaN, lost }: Step, threads: string): Figure[] {
  const name = `${sessions} sessions, relay-threads ${threads}: CPU of coturn per packet`;
  return [{ group: 'Behind coturn', name, value: relayMicrosPerPacket, unit: 'µs', note: `${lost} lost` }];
}

function best(steps: readonly Step[]): number {
  return Math.max(0, ...steps.filter(keepsUp).map(({ sessions }) => sessions));
}

/** @param relayThreads settings of coturn, or `default`. */
async function measureRelayed(
  options: MeasureOptions,
  steps: readonly number[],
  relayThreads: readonly string[],
): Promise<Figure[]> {
  const found: Figure[] = [];
  for (const threads of steps.length > 0 ? relayThreads : []) {
    const turnSettings = threads === 'default' ? [] : [`relay-threads=${threads}`];
    const results = await measureSteps(options, 1, steps, { isRelayed: true, turnSettings });
    found.push(...results.flatMap((step) => relayFigures(step, threads)));
  }
  return found;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '1,20,60,100,150,200,250' },
      seconds: { type: 'string', default: '10' },
      senders: { type: 'string', default: '1,2,3' },
      broadcast: { type: 'string', default: '100,200,400,800' },
      relayed: { type: 'string', default: '20' },
      'relay-threads': { type: 'string', default: 'default' },
      busy: { type: 'string', default: '0' },
      drain: { type: 'boolean', default: false },
      profile: { type: 'string' },
      json: { type: 'string' },
    },
  });
  const numbers = (text: string) => (text === '' ? [] : text.split(',').map(Number));
  const machine = describeMachine();
  const figures = await withCleanup(async (cleanup) => {
    const mediaDir = temporaryFolder(cleanup);
    await makeBusyClip(join(mediaDir, 'bench/idle/idle.mov'), { seconds: 10, fps: 30, size: '1280x720' });
    keepBusy(cleanup, Number(values.busy));
    const steps = numbers(values.steps);
    const options = { mediaDir, seconds: Number(values.seconds), profile: values.profile, drain: values.drain };
    const found: Figure[] = [];
    for (const senders of numbers(values.senders)) {
      const group = `${senders} media-sender${senders === 1 ? '' : 's'}`;
      const alone = senders === 1;
      // Several of them have no core of their own, unless viewers take next to nothing.
      const fitting = alone || values.drain ? steps : steps.filter((n) => n <= TAIL_SESSIONS);
      const results = await measureSteps(options, senders, fitting);
      found.push(...results.flatMap((step) => stepFigures(group, step, alone)));
      if (alone) found.push(...capacityFigures(best(results), encodersPerCore(temporaryFolder(cleanup))));
    }
    const viewers = numbers(values.broadcast);
    if (viewers.length > 0) {
      const group = 'One session on 1 media-sender';
      const results = await measureSteps(options, 1, viewers, { isShared: true });
      found.push(...results.flatMap((step) => stepFigures(group, step, true, true)));
      const aim = { atLeast: AIM_VIEWERS };
      found.push({ group, name: 'viewers per core', aim, value: best(results), unit: '', digits: 0 });
    }
    const threads = values['relay-threads'].split(',');
    found.push(...(await measureRelayed(options, numbers(values.relayed), threads)));
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
