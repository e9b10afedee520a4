/** The receivers of the pacing benchmark, in their own process: they join and record the arrival of RTP headers. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ReceivedPacket, Receiver } from '@humancast/testkit';
import { type RecordedPacket, TrackRecording } from '../lib/recording.ts';
import { percentile } from '../lib/stats.ts';

export type SinkCommand =
  | { connect: { signalingUrl: string; session: string; token: string }[] }
  /** Duration, s. */
  | { measure: number }
  | { report: true };

interface Percentiles {
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
}

/** The answer to every command: the measurements so far. */
export interface SinkReport {
  readonly packets: number;
  readonly lost: number;
  readonly latenessMs: Percentiles;
  readonly frameSpreadMs: Percentiles;
  readonly loopDelayMs: number;
}

const AT_ONCE = 5;
const LOOP_RESOLUTION_MS = 5;

const receivers: Receiver[] = [];
const tracks: TrackRecording[] = [];
const loop = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
let measuring = false;

process.on('message', (command: SinkCommand) => {
  void obey(command).then(
    () => process.send?.(report()),
    (error: Error) => {
      console.error(`receivers: ${error.message}`);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(0));

async function obey(command: SinkCommand): Promise<void> {
  if ('connect' in command) await connect(command.connect);
  if ('measure' in command) {
    measuring = true;
    loop.enable();
    await sleep(command.measure * 1000);
    loop.disable();
    measuring = false;
  }
}

async function connect(viewers: readonly { signalingUrl: string; session: string; token: string }[]): Promise<void> {
  for (let i = 0; i < viewers.length; i += AT_ONCE) {
    await Promise.all(
      viewers.slice(i, i + AT_ONCE).map(async (viewer) => {
        receivers.push(await Receiver.connect({ ...viewer, decrypt: false, listener: newListener() }));
      }),
    );
  }
}

function newListener() {
  const own = { audio: new TrackRecording('audio'), video: new TrackRecording('video') };
  tracks.push(own.audio, own.video);
  return {
    packet(packet: ReceivedPacket) {
      if (measuring) own[packet.track].addPacket(packet);
    },
    closed(reason: string) {
      console.error(`receivers: connection closed: ${reason}`);
      process.exit(1);
    },
  };
}

function report(): SinkReport {
  const frames = tracks.map(({ packets, rate }) => ({ rate, frames: framesOf(packets) }));
  const late = frames.flatMap(({ rate, frames: all }) => latenessMs(all, rate));
  const spreads = frames.flatMap(({ frames: all }) => all.map((frame) => frame.lastMs - frame.firstMs));
  return {
    packets: tracks.reduce((sum, { packets }) => sum + packets.length, 0),
    lost: tracks.reduce((sum, { packets }) => sum + missing(packets), 0),
    latenessMs: percentiles(late),
    frameSpreadMs: percentiles(spreads),
    // The measured delay includes the timer's own interval.
    loopDelayMs: loop.percentile(99) / 1e6 - LOOP_RESOLUTION_MS,
  };
}

interface Arrival {
  readonly ticks: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

/** One entry per timestamp: a frame or an audio packet. The first may have started before the measurement. */
function framesOf(packets: readonly RecordedPacket[]): Arrival[] {
  const frames = new Map<number, { ticks: number; firstMs: number; lastMs: number }>();
  for (const { ticks, arrivedMs } of packets) {
    const frame = frames.get(ticks);
    if (frame) frame.lastMs = arrivedMs;
    else frames.set(ticks, { ticks, firstMs: arrivedMs, lastMs: arrivedMs });
  }
  return [...frames.values()].slice(1);
}

function latenessMs(frames: readonly Arrival[], rate: number): number[] {
  const delays = frames.map(({ ticks, firstMs }) => firstMs - (ticks / rate) * 1000);
  const least = delays.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  return delays.map((delay) => delay - least);
}

function missing(packets: readonly RecordedPacket[]): number {
  const [first, last] = [packets[0]?.index ?? 0, packets.at(-1)?.index ?? -1];
  return last - first + 1 - packets.length;
}

function percentiles(values: readonly number[]): Percentiles {
  return { p50: percentile(values, 0.5), p99: percentile(values, 0.99), p999: percentile(values, 0.999) };
}
