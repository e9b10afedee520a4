/**
 * Live push: measures the latency from the producer to the wire, and a long push.
 *
 *     npm run build && node bench/live.ts [--pushes 25] [--seconds 60] [--format bgr24]
 *
 * 720p30, paced in real time, beside five idle sessions, all on one machine. A push's delay runs from handing its first
 * frame and PCM to the socket, so it includes the way to the loader, to the first RTP packet of its first keyframe at a
 * viewer that connects directly. That keyframe is recognized by its size, which differs from the idle clip's.
 */

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { type NewSession } from '@humancast/protocol';
import {
  type Cleanup,
  LivePusher,
  makePlainClip,
  Producer,
  type ReceivedPacket,
  Receiver,
  type Stack,
  SYNC_TONE_HZ,
  startStack,
  waitFor,
  withCleanup,
} from '@humancast/testkit';
import { Vp8RtpPayload } from 'werift';
import { type Figure, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';
import { cpuSeconds } from './lib/processes.ts';
import { Recording } from './lib/recording.ts';
import { mean, percentile } from './lib/stats.ts';
import { evaluateWire } from './sync/wire.ts';

const AVATAR = 'bench';
const FPS = 30;
const SIZE = { width: 1280, height: 720 };
const IDLE_SIZE = '1024x576';
const IDLE_SESSIONS = 5;
const PUSH_SECONDS = 0.6;
const PCM_RATE = 24_000;
const SAMPLES_A_FRAME = PCM_RATE / FPS;
/** A white frame at the start of each second, with the beep. */
const FLASH_FRAMES = 3;
/** Time after which allocation has settled; memory is compared with its size then. */
const WARM_UP_MS = 20_000;
/** The producer waits while it is held back. */
const MAX_BUFFERED_BYTES = 8 * 2 ** 20;
const TIMEOUT_MS = 5000;

const { values } = parseArgs({
  options: {
    pushes: { type: 'string', default: '25' },
    seconds: { type: 'string', default: '60' },
    format: { type: 'string', default: 'bgr24' },
  },
});
const format = values.format as 'bgr24' | 'i420' | 'jpeg';

/** @returns A second of moving video in the pushed format. */
function makeFrames(): Buffer[] {
  const { width, height } = SIZE;
  const source = ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=s=${width}x${height}:r=${FPS}`];
  const flash = `lutyuv=y=val/2,drawbox=c=white:t=fill:enable='lt(n,${FLASH_FRAMES})'`;
  source.push('-t', '1', '-vf', flash);
  const output =
    format === 'jpeg'
      ? ['-f', 'image2pipe', '-c:v', 'mjpeg', '-q:v', '4', 'pipe:1']
      : ['-f', 'rawvideo', '-pix_fmt', format === 'i420' ? 'yuv420p' : format, 'pipe:1'];
  const bytes = execFileSync('ffmpeg', [...source, ...output], { maxBuffer: 2 ** 28 });
  return format === 'jpeg' ? jpegs(bytes) : slices(bytes, bytes.length / FPS);
}

function slices(bytes: Buffer, length: number): Buffer[] {
  return Array.from({ length: bytes.length / length }, (_, i) => bytes.subarray(i * length, (i + 1) * length));
}

function jpegs(bytes: Buffer): Buffer[] {
  const starts: number[] = [];
  const marker = Buffer.from([0xff, 0xd8, 0xff]);
  for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 3)) starts.push(at);
  return starts.map((start, i) => bytes.subarray(start, starts[i + 1]));
}

/** @returns the video's width if the packet starts a VP8 keyframe (RFC 6386 §9.1). */
function keyframeWidth(packet: Buffer): number | undefined {
  const { sBit, pid, payload } = Vp8RtpPayload.deSerialize(packet);
  const isKeyframe = ((payload[0] ?? 1) & 1) === 0;
  return sBit === 1 && pid === 0 && isKeyframe && payload.length >= 10 ? payload.readUInt16LE(6) & 0x3fff : undefined;
}

/** Detects when video of the pushed size starts and stops to arrive. */
class Watch {
  #onLive: ((atMs: number) => void) | undefined;
  #width = 0;

  readonly packet = ({ track, payload, arrivedMs }: ReceivedPacket): void => {
    const width = track === 'video' ? keyframeWidth(payload) : undefined;
    if (width === undefined) return;
    if (width === SIZE.width && this.#width !== width) this.#onLive?.(arrivedMs);
    this.#width = width;
  };

  get isIdle(): boolean {
    return this.#width !== SIZE.width;
  }

  nextLive(): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const timer = setTimeout(() => reject(new Error('the push did not arrive')), TIMEOUT_MS);
    this.#onLive = (atMs) => {
      clearTimeout(timer);
      this.#onLive = undefined;
      resolve(atMs);
    };
    return promise;
  }
}

/** @returns A beep of 100 ms at the start of each second, silence otherwise. */
function audioOf(frame: number): Float32Array {
  const isBeep = frame % FPS < FLASH_FRAMES;
  const from = frame * SAMPLES_A_FRAME;
  return Float32Array.from({ length: SAMPLES_A_FRAME }, (_, i) =>
    isBeep ? 0.5 * Math.sin((2 * Math.PI * SYNC_TONE_HZ * (from + i)) / PCM_RATE) : 0,
  );
}

/** @returns the time at which the first message was handed to the socket. */
async function pushPaced(pusher: LivePusher, frames: readonly Buffer[], seconds: number): Promise<number> {
  const startedMs = performance.now();
  for (let i = 0; i < seconds * FPS; i++) {
    const waitMs = startedMs + (i * 1000) / FPS - performance.now();
    if (waitMs > 0) await sleep(waitMs);
    await waitFor('room to send', () => pusher.socket.bufferedAmount <= MAX_BUFFERED_BYTES || !isOpen(pusher));
    if (!isOpen(pusher)) throw new Error(`the push ended: ${JSON.stringify(pusher.messages.at(-1))}`);
    pusher.pushAudio(audioOf(i));
    pusher.pushVideo(frames[i % FPS] as Buffer);
  }
  return startedMs;
}

const isOpen = (pusher: LivePusher) => pusher.socket.readyState === pusher.socket.OPEN;

async function open(stack: Stack, session: NewSession): Promise<LivePusher> {
  const pusher = await LivePusher.connect(stack, { avatar: AVATAR, session: session.id });
  await pusher.start({
    type: 'start',
    fps: FPS,
    ...SIZE,
    pixelFormat: format,
    sampleRate: PCM_RATE,
    sampleFormat: 'f32',
  });
  return pusher;
}

async function measureDelays(
  stack: Stack,
  session: NewSession,
  watch: Watch,
  frames: readonly Buffer[],
): Promise<number[]> {
  const delays: number[] = [];
  for (let i = 0; i < Number(values.pushes); i++) {
    const pusher = await open(stack, session);
    await sleep(100 + 200 * Math.random());
    const live = watch.nextLive();
    const pushing = pushPaced(pusher, frames, PUSH_SECONDS);
    const arrivedMs = await live;
    delays.push(arrivedMs - (await pushing));
    await pusher.end();
    await waitFor('the idle video', () => watch.isIdle);
  }
  return delays;
}

interface LongPush {
  readonly underruns: number;
  /** Flash minus beep by the sender reports, largest magnitude, ms. */
  readonly lipSyncMs: number;
  readonly pairs: number;
  readonly growthMb: number;
  readonly peakMb: number;
  readonly loaderCores: number;
  readonly maxLagMs: number;
}

async function measureLongPush(
  stack: Stack,
  session: NewSession,
  producer: Producer,
  frames: readonly Buffer[],
): Promise<LongPush> {
  const pid = stack.processes.find(({ name }) => name === 'segment-loader')?.pid ?? -1;
  const recording = new Recording();
  const { signalingUrl } = stack;
  const { id, token } = session;
  const receiver = await Receiver.connect({ signalingUrl, session: id, token, listener: recording.listener });
  const underrunsBefore = await producer.underruns(session.id);
  const pusher = await open(stack, session);
  const startedMs = performance.now();
  const memory: { atMs: number; mb: number }[] = [];
  const timer = setInterval(() => memory.push({ atMs: performance.now() - startedMs, mb: residentMb(pid) }), 500);
  const cpuBefore = cpuSeconds(pid);
  try {
    await pushPaced(pusher, frames, Number(values.seconds));
  } finally {
    clearInterval(timer);
  }
  const loaderCores = (cpuSeconds(pid) - cpuBefore) / Number(values.seconds);
  await pusher.end();
  await sleep(500);
  receiver.close();
  const { pairs } = await evaluateWire(recording);
  const warm = memory.filter(({ atMs }) => atMs > WARM_UP_MS).map(({ mb }) => mb);
  const third = Math.max(1, Math.floor(warm.length / 3));
  const lags = pusher.messages.flatMap((message) => (message.type === 'status' ? [message.lagMs] : []));
  return {
    underruns: (await producer.underruns(session.id)) - underrunsBefore,
    lipSyncMs: Math.max(...pairs.map(({ errorMs }) => Math.abs(errorMs))),
    pairs: pairs.length,
    growthMb: mean(warm.slice(-third)) - mean(warm.slice(0, third)),
    peakMb: Math.max(...memory.map(({ mb }) => mb)),
    loaderCores,
    maxLagMs: Math.max(...lags),
  };
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

async function watchSession(stack: Stack, session: NewSession, cleanup: Cleanup, watch?: Watch): Promise<void> {
  const { signalingUrl } = stack;
  const listener = watch ? { packet: watch.packet } : {};
  const receiver = await Receiver.connect({
    signalingUrl,
    session: session.id,
    token: session.token,
    listener,
    decrypt: watch !== undefined,
  });
  cleanup.add(() => receiver.close());
}

await withCleanup(async (cleanup) => {
  for (const line of machineLines(describeMachine())) console.log(line);
  const frames = makeFrames();
  const stack = await startStack({ turn: false });
  cleanup.add(() => stack.stop());
  const clip = { seconds: 2, fps: FPS, size: IDLE_SIZE, color: 'red' };
  await makePlainClip(join(stack.mediaDir, AVATAR, 'idle/idle.mov'), clip);
  const producer = new Producer(stack);
  const watch = new Watch();
  const session = await producer.createSession(AVATAR);
  await watchSession(stack, session, cleanup, watch);
  for (let i = 0; i < IDLE_SESSIONS; i++) await watchSession(stack, await producer.createSession(AVATAR), cleanup);
  await sleep(2000);
  const delays = await measureDelays(stack, session, watch, frames);
  const long = Number(values.seconds) > 0 ? await measureLongPush(stack, session, producer, frames) : undefined;
  const group = `first frame and PCM sent to first RTP packet, 720p30 ${format}, ${delays.length} pushes`;
  const figures: Figure[] = [
    { group, name: 'p50', aim: { atMost: 120 }, value: percentile(delays, 0.5), unit: 'ms' },
    { group, name: 'p95', aim: { atMost: 200 }, value: percentile(delays, 0.95), unit: 'ms' },
    { group, name: 'largest', value: Math.max(...delays), unit: 'ms' },
  ];
  if (long) {
    const name = `${values.seconds} s live`;
    figures.push(
      { group: name, name: 'underruns', aim: { atMost: 0 }, value: long.underruns, unit: '', digits: 0 },
      {
        group: name,
        name: 'lip-sync on the wire, worst',
        aim: { atMost: 1 },
        value: long.lipSyncMs,
        unit: 'ms',
        digits: 3,
        note: `${long.pairs} pairs`,
      },
      { group: name, name: 'largest reported lag', value: long.maxLagMs, unit: 'ms', digits: 0 },
      { group: name, name: 'loader: memory growth', aim: { within: 16 }, value: long.growthMb, unit: 'MB' },
      { group: name, name: 'loader: largest memory', value: long.peakMb, unit: 'MB' },
      { group: name, name: 'loader: CPU without encoders', value: long.loaderCores, unit: 'cores', digits: 2 },
    );
  }
  printFigures(figures);
  console.log(JSON.stringify({ machine: describeMachine(), format, delays, long }));
});
