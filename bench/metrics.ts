/**
 * Measures the cost of metrics: a scrape of a media-sender that hosts 60 sessions, and the share that counting has of a
 * session.
 *
 *     npm run build && node bench/metrics.ts
 *
 * Uses the service's own metrics, caches and clips (whose prefetch margin each scrape reads), transports, and playout with
 * its Opus encoder, on a fake clock, so that a minute takes seconds. Sending is left out, so the share of counting is
 * overestimated.
 */
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  createLogger,
  createRegistry,
  type MediaStore,
  PCM_CHUNK_SAMPLES,
  packGop,
  type SegmentManifest,
} from '@humancast/shared';
import { makeManifest } from '@humancast/testkit';
import { OpusEncoder } from '../services/media-sender/dist/audio/opus-encoder.js';
import { BandwidthEstimator } from '../services/media-sender/dist/congestion/bandwidth-estimator.js';
import { MediaCache } from '../services/media-sender/dist/media/media-cache.js';
import { SegmentClip } from '../services/media-sender/dist/media/segment-clip.js';
import { SenderMetrics } from '../services/media-sender/dist/metrics.js';
import { Scheduler } from '../services/media-sender/dist/playout/scheduler.js';
import { type PlayoutMetrics, SessionPlayer } from '../services/media-sender/dist/playout/session-player.js';
import { Stagger } from '../services/media-sender/dist/playout/stagger.js';
import { packetizerOf } from '../services/media-sender/dist/rtp/packetize.js';
import type { PacketizedFrame } from '../services/media-sender/dist/rtp/packetized-frame.js';
import { RepairBudget } from '../services/media-sender/dist/rtp/repair-budget.js';
import { MediaSockets } from '../services/media-sender/dist/transport/media-sockets.js';
import { Traffic } from '../services/media-sender/dist/transport/traffic.js';
import type { TransportEvents } from '../services/media-sender/dist/transport/viewer-transport.js';
import { WebRtcTransport } from '../services/media-sender/dist/transport/webrtc-transport.js';
import { type Figure, printFigures } from './lib/figures.ts';
import { describeMachine, machineLines } from './lib/machine.ts';

const SESSIONS = 60;
const SCRAPES = 200;
const PLAYED_SECONDS = 60;
const CLIP_SECONDS = 10;
const PREFETCH_SAMPLES = 2.5 * 48_000;
const SENDING = Array.from({ length: SESSIONS }, () => ({ rung: 0, rungs: 3, estimateBps: 2_000_000 }));
const QUIET = { connected() {}, closed() {}, keyframeNeeded() {}, feedback() {}, heard() {} };
const SILENT_METRICS: PlayoutMetrics = {
  late() {},
  frameSent() {},
  bandwidthEstimated() {},
  skipped() {},
  interrupted() {},
};

const logger = createLogger('bench', 'fatal');

/** 720p30 at 1.5 Mb/s, with audio that is never silent. */
function cacheOfOneClip(): MediaCache {
  const frames = Array.from({ length: 30 }, (_, i) => ({ data: Buffer.alloc(6250, i + 1), keyframe: i === 0 }));
  const gop = packGop(frames);
  const pcm = Buffer.from(Int16Array.from({ length: PCM_CHUNK_SAMPLES }, (_, i) => 8000 * Math.sin(i / 9)).buffer);
  const store = { readGop: async () => gop, readPcm: async () => pcm } as unknown as MediaStore;
  return new MediaCache(store, { maxBytes: 1e9, packetizerOf });
}

function clipOf(cache: MediaCache, role: SegmentManifest['role']): SegmentClip {
  const manifest = makeManifest({
    role,
    frames: 30 * CLIP_SECONDS,
    pcmSamples: 24_000 * CLIP_SECONDS,
    durationSamples: 48_000 * CLIP_SECONDS,
    renditions: [{ id: 'vp8', codec: 'vp8', width: 1280, height: 720, bitrateBps: 1_500_000, bytes: 1 }],
  });
  return new SegmentClip(manifest, { cache, prefetchSamples: PREFETCH_SAMPLES, codecs: new Set(['vp8']) });
}

async function scrape(): Promise<{ cpuMs: number; bytes: number }> {
  const cache = cacheOfOneClip();
  const clips = Array.from({ length: SESSIONS }, () => clipOf(cache, 'idle'));
  for (const clip of clips) clip.follow(0);
  await sleep(100); // Wait for the prefetch.
  const traffic = new Traffic();
  const transports = clips.map((_, i) => traffic.watch(QUIET, (events) => transport(`bench-${i}`, events)));
  const registry = createRegistry('media-sender');
  const avatars = new Map(clips.map((_, i) => [`avatar-${i}`, 1]));
  const metrics = new SenderMetrics(registry, {
    sessions: () => SESSIONS,
    avatars: () => avatars,
    viewers: () => SESSIONS,
    sending: () => SENDING,
    capacity: SESSIONS,
    viewerCapacity: SESSIONS,
    followed: () => 0,
    takesSessions: () => true,
    prefetchedMs: () => Math.min(...clips.map((clip) => clip.readySamples(0))) / 48,
    cache,
    traffic: () => traffic.totals(),
    packetPath: 'javascript',
    voicesDropped: () => 0,
  });
  count(metrics, 10_000);
  await registry.metrics();
  const before = process.threadCpuUsage();
  let page = '';
  for (let i = 0; i < SCRAPES; i++) page = await registry.metrics();
  const { user, system } = process.threadCpuUsage(before);
  for (const open of transports) open.close();
  sockets.close();
  return { cpuMs: (user + system) / 1000 / SCRAPES, bytes: Buffer.byteLength(page) };
}

const sockets = new MediaSockets({ hostAddresses: ['127.0.0.1'], logger });

function transport(connection: string, events: TransportEvents): WebRtcTransport {
  const options = {
    connection,
    codecs: ['vp8'] as const,
    sockets,
    connectTimeoutMs: 60_000,
    logger,
  };
  return new WebRtcTransport(options, events);
}

/** Counts of one session's playout in a second: 50 audio packets, 30 frames. */
function count(metrics: PlayoutMetrics, seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    for (let i = 0; i < 50; i++) metrics.late('audio', i / 25);
    for (let i = 0; i < 30; i++) {
      metrics.late('video', i / 15);
      metrics.frameSent(i / 15 - 1);
    }
  }
}

function cpuMsOf(work: () => void): number {
  const before = process.threadCpuUsage();
  work();
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000;
}

/** @returns CPU of a second of playout, ms: deciding, encoding, and handing packets to one viewer's connection. */
async function playing(): Promise<number> {
  const cache = cacheOfOneClip();
  const time = { now: 0 };
  const clock = { nowMs: () => time.now, wallMs: () => time.now };
  const timer = { run: () => {}, dueMs: 0 };
  const timers = {
    set(run: () => void, delayMs: number) {
      Object.assign(timer, { run, dueMs: time.now + delayMs });
    },
    clear() {},
  };
  const player = new SessionPlayer({
    clock,
    scheduler: new Scheduler(clock, (error) => console.error(error), timers),
    encoder: new OpusEncoder({ bitrateBps: 32_000, complexity: 5, mode: 'celt' }),
    metrics: SILENT_METRICS,
    cutPolicy: 'now',
    crossfadeSamples: 384,
    pauseSamples: 33_600,
    stagger: new Stagger(),
    maySend: () => true,
    nextIdle: () => clips.shift(),
    isIdleReady: () => true,
    onWaiting: () => {},
    onStarted() {},
    onFinished() {},
    onHeld() {},
    onServed() {},
    onViewerFault(_viewer, error) {
      throw error;
    },
    onFault(error) {
      throw error;
    },
  });
  const clips = Array.from({ length: PLAYED_SECONDS / CLIP_SECONDS + 1 }, () => clipOf(cache, 'idle'));
  for (const clip of clips) clip.follow(0);
  await sleep(100); // Wait for the prefetch.
  player.start();
  const nowhere = {
    sendVideo: (frame: PacketizedFrame, _ticks: number, from = 0, to = frame.payloads.length) => to - from,
    sendAudio: () => true,
    sendReports() {},
    repairs: new RepairBudget(),
    roundTripMs: undefined,
    bandwidth: new BandwidthEstimator(),
    audioBps: 70_000,
    forgetVideo: () => {},
    sendPadding: () => 0,
  };
  player.addViewer('bench', 'vp8', nowhere);
  let cpuMs = 0;
  while (timer.dueMs < PLAYED_SECONDS * 1000) {
    // Prefetched data arrives between two packets, as in the service.
    await new Promise((resolve) => setImmediate(resolve));
    time.now = timer.dueMs;
    cpuMs += cpuMsOf(timer.run);
  }
  if (player.underruns > 0) throw new Error('media was late; the measurement is invalid');
  player.close({ finish: false });
  return cpuMs / PLAYED_SECONDS;
}

const { cpuMs, bytes } = await scrape();
const metrics = new SenderMetrics(createRegistry('bench'), {
  sessions: () => 0,
  avatars: () => new Map(),
  viewers: () => 0,
  sending: () => [],
  capacity: 0,
  viewerCapacity: 0,
  followed: () => 0,
  takesSessions: () => true,
  prefetchedMs: () => 0,
  cache: { bytes: 0, hits: 0, misses: 0, evictions: 0 },
  traffic: () => new Traffic().totals(),
  packetPath: 'javascript',
  voicesDropped: () => 0,
});
count(metrics, 20_000);
const countingMs = cpuMsOf(() => count(metrics, 20_000)) / 20_000;
const playingMs = await playing();
const figures: Figure[] = [
  {
    group: `Scrape of a media-sender with ${SESSIONS} sessions`,
    name: 'event-loop time',
    aim: { atMost: 5 },
    value: cpuMs,
    unit: 'ms',
    digits: 2,
    note: `CPU of its thread, mean of ${SCRAPES}`,
  },
  {
    group: `Scrape of a media-sender with ${SESSIONS} sessions`,
    name: 'size',
    aim: { atMost: 200 },
    value: bytes / 1000,
    unit: 'kB',
  },
  {
    group: 'Counting',
    name: 'share of a session',
    aim: { atMost: 2 },
    value: (100 * countingMs) / playingMs,
    unit: '%',
    digits: 2,
    note: `${(1000 * countingMs).toFixed(1)} µs of ${playingMs.toFixed(2)} ms a second, without sending`,
  },
];
for (const line of machineLines(describeMachine())) console.log(line);
printFigures(figures);
console.log(JSON.stringify({ sessions: SESSIONS, cores: availableParallelism(), cpuMs, bytes, countingMs, playingMs }));
