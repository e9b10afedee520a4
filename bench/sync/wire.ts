/**
 * Lip-sync on the wire: what was sent, as any receiver may read it.
 *
 * A headless receiver (ICE, DTLS, SRTP and RTCP by werift) joins through coturn and records every packet and sender report.
 * RTP timestamps are then mapped to NTP time by the nearest report of their own track (RFC 3550 §6.4.1), VP8 is decoded by
 * ffmpeg and Opus by libopus, and each second's first white frame is compared with the first sample of its beep. Arrival
 * times are not used, so a busy machine does not affect the figure.
 *
 * Limits: the clip's audio is stored at 24 kHz and encoded with loss, which blurs an onset by about a tenth of a
 * millisecond; 90 kHz video ticks round by 6 µs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Receiver, SYNC_TONE_HZ } from '@humancast/testkit';
import { AudioTrackDecoder } from '../lib/audio.ts';
import type { Figure } from '../lib/figures.ts';
import { OnsetDetector } from '../lib/onset.ts';
import { Recording, type TrackRecording } from '../lib/recording.ts';
import { ntpDeltaMs, RtpClock } from '../lib/rtp-clock.ts';
import type { Scene } from '../lib/scene.ts';
import { mean, percentile } from '../lib/stats.ts';
import { brightnessOf, framesOf } from '../lib/video.ts';
import { type Pair, pairUp } from './pairs.ts';

export interface WireResult {
  readonly figures: Figure[];
  readonly pairs: readonly Pair[];
}

const WHITE = 128;
const PACKET_SAMPLES = 960;
const GROUP = 'On the wire, by the sender reports';

export async function measureWire({ stack, producer }: Scene, avatar: string, seconds: number): Promise<WireResult> {
  const recording = new Recording();
  const session = await producer.createSession(avatar);
  const receiver = await Receiver.connect({
    signalingUrl: stack.signalingUrl,
    session: session.id,
    token: session.token,
    listener: recording.listener,
  });
  await sleep((seconds + 1) * 1000);
  if (recording.closedReason !== undefined)
    throw new Error(`the receiver's connection closed: ${recording.closedReason}`);
  receiver.close();
  await producer.endSession(session.id);
  return evaluateWire(recording);
}

/** @returns the pairs of a recording with a flash and a beep each second. */
export async function evaluateWire({ audio, video }: Recording): Promise<WireResult> {
  const origin = audio.reports[0]?.ntp;
  if (origin === undefined) throw new Error('no sender report was received');
  const flashes = await flashTicks(video);
  const onsets = beepTicks(audio);
  const [audioClock, videoClock] = [clockOf(audio), clockOf(video)];
  const pairs = pairUp(
    flashes.map((ticks) => videoClock.ntpMs(ticks, origin)),
    onsets.map((ticks) => audioClock.ntpMs(ticks, origin)),
  );
  const errors = pairs.map(({ errorMs }) => Math.abs(errorMs));
  const ms = { group: GROUP, unit: 'ms', digits: 3 };
  return {
    pairs,
    figures: [
      {
        ...ms,
        name: 'flash minus beep, worst',
        aim: { atMost: 1 },
        value: Math.max(...errors),
        note: `${pairs.length} pairs`,
      },
      { ...ms, name: 'flash minus beep, p95', value: percentile(errors, 0.95) },
      { ...ms, name: 'flash minus beep, mean', value: mean(pairs.map(({ errorMs }) => errorMs)) },
      { ...ms, name: 'first report after first packet, audio', aim: { atMost: 100 }, value: firstReportMs(audio) },
      { ...ms, name: 'first report after first packet, video', aim: { atMost: 100 }, value: firstReportMs(video) },
      {
        ...ms,
        name: 'reports relative to the first, worst',
        value: Math.max(clockErrorMs(audio), clockErrorMs(video)),
        note: 'NTP minus RTP',
      },
      { ...ms, digits: 0, name: 'between reports, longest', value: longestIntervalMs(audio) },
      {
        group: GROUP,
        unit: 'packets',
        digits: 0,
        name: 'lost or out of order',
        aim: { atMost: 0 },
        value: disorder(audio) + disorder(video),
      },
      {
        group: GROUP,
        unit: 'packets',
        digits: 0,
        name: 'audio packets not 20 ms apart',
        aim: { atMost: 0 },
        value: soundJumps(audio),
      },
    ],
  };
}

/** @returns the times of each flash's first frame. */
async function flashTicks(video: TrackRecording): Promise<number[]> {
  const frames = framesOf(video.ordered());
  const brightness = await brightnessOf(frames);
  return frames
    .filter((_, i) => (brightness[i] ?? 0) > WHITE && (brightness[i - 1] ?? 255) <= WHITE)
    .map(({ ticks }) => ticks);
}

function beepTicks(audio: TrackRecording): number[] {
  const decoder = new AudioTrackDecoder();
  const detector = new OnsetDetector({ sampleRate: audio.rate, toneHz: SYNC_TONE_HZ });
  return audio.ordered().flatMap(({ ticks, payload }) => detector.push(ticks, decoder.decode(payload)));
}

function clockOf({ reports, rate }: TrackRecording): RtpClock {
  const clock = new RtpClock(rate);
  for (const { ntp, ticks } of reports) clock.add(ntp, ticks);
  return clock;
}

function firstReportMs({ packets, reports }: TrackRecording): number {
  return (reports[0]?.arrivedMs ?? Number.NaN) - (packets[0]?.arrivedMs ?? Number.NaN);
}

/** @returns the largest contradiction of a later report to the first one, ms. */
function clockErrorMs(track: TrackRecording): number {
  const [first] = track.reports;
  if (!first) return Number.NaN;
  const ticksPerMs = track.rate / 1000;
  return Math.max(
    ...track.reports.map(({ ntp, ticks }) => Math.abs(ntpDeltaMs(ntp, first.ntp) - (ticks - first.ticks) / ticksPerMs)),
  );
}

function longestIntervalMs({ reports }: TrackRecording): number {
  return Math.max(...reports.slice(1).map(({ arrivedMs }, i) => arrivedMs - (reports[i]?.arrivedMs ?? arrivedMs)));
}

function disorder({ packets }: TrackRecording): number {
  return packets.slice(1).filter(({ index }, i) => index !== (packets[i]?.index ?? 0) + 1).length;
}

function soundJumps({ packets }: TrackRecording): number {
  return packets.slice(1).filter(({ ticks }, i) => ticks !== (packets[i]?.ticks ?? 0) + PACKET_SAMPLES).length;
}
