/**
 * Barge-in: time from the interrupt to the end of the speech, and to the first idle frame.
 *
 * The speech is white with a steady 440 Hz tone, idle is black and silent. A headless receiver listens through coturn while
 * the same process posts the interrupts at random points of the speech, so one clock times both. An interrupt counts from
 * the arrival of its 202; earlier packets count as negative. A packet contains speech if libopus decodes it to within 40 dB
 * of the tone. A frame counts with its last packet.
 *
 * Limits: times include the way through coturn and this process's event loop, a few tenths of a millisecond each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Receiver, waitFor } from '@humancast/testkit';
import { AudioTrackDecoder, levelOf } from '../lib/audio.ts';
import type { Figure } from '../lib/figures.ts';
import { Recording } from '../lib/recording.ts';
import type { Scene } from '../lib/scene.ts';
import { percentile } from '../lib/stats.ts';
import { brightnessOf, framesOf } from '../lib/video.ts';

export interface InterruptResult {
  readonly figures: Figure[];
  readonly interrupts: readonly Interrupt[];
}

interface Posted {
  readonly sentMs: number;
  readonly acceptedMs: number;
  /** Time after the interrupted speech has ended, before the next one, ms. */
  readonly overMs: number;
}

interface Interrupt extends Posted {
  /** Arrival of the last packet with speech, and of the first idle frame, relative to acceptance. */
  readonly speechMs: number;
  readonly idleMs: number;
}

interface AudioPacket {
  readonly arrivedMs: number;
  readonly level: number;
}

/** The tone's root mean square is 0.35 (amplitude 0.5); 40 dB below. */
const SPEECH_LEVEL = 0.0035;
const WHITE = 128;
/** Time after the speech has started. */
const SPOKEN_MS = { from: 100, to: 900 };
const SETTLE_MS = 300;
const GROUP = 'Interrupt, from its 202';

export async function measureInterrupts(
  { stack, producer }: Scene,
  options: { avatar: string; segment: string; count: number },
): Promise<InterruptResult> {
  const recording = new Recording();
  const decoder = new AudioTrackDecoder();
  const audio: AudioPacket[] = [];
  const session = await producer.createSession(options.avatar);
  const segment = await producer.segmentNamed(session.id, options.segment);
  const receiver = await Receiver.connect({
    signalingUrl: stack.signalingUrl,
    session: session.id,
    token: session.token,
    listener: {
      ...recording.listener,
      packet: (packet) => {
        recording.listener.packet?.(packet);
        if (packet.track === 'audio') {
          audio.push({ arrivedMs: packet.arrivedMs, level: levelOf(decoder.decode(packet.payload)) });
        }
      },
    },
  });
  const isSpeaking = () => (audio.at(-1)?.level ?? 0) > SPEECH_LEVEL;
  const posted: Posted[] = [];
  for (let i = 0; i < options.count; i++) {
    await producer.speak(session.id, [segment]);
    await waitFor('speech to start', isSpeaking);
    await sleep(SPOKEN_MS.from + Math.random() * (SPOKEN_MS.to - SPOKEN_MS.from));
    const sentMs = performance.now();
    await producer.interrupt(session.id);
    const acceptedMs = performance.now();
    await waitFor('speech to end', () => !isSpeaking());
    await sleep(SETTLE_MS);
    posted.push({ sentMs, acceptedMs, overMs: performance.now() });
  }
  receiver.close();
  await producer.endSession(session.id);
  const dark = await darkFrameArrivals(recording);
  return evaluate(posted, audio, dark);
}

function evaluate(
  posted: readonly Posted[],
  audio: readonly AudioPacket[],
  darkMs: readonly number[],
): InterruptResult {
  const interrupts = posted.map((one): Interrupt => {
    const { sentMs, acceptedMs, overMs } = one;
    const lastSpeech = audio.filter(({ arrivedMs, level }) => arrivedMs < overMs && level > SPEECH_LEVEL).at(-1);
    const idle = darkMs.find((arrivedMs) => arrivedMs > sentMs && arrivedMs < overMs);
    return {
      ...one,
      speechMs: (lastSpeech?.arrivedMs ?? Number.POSITIVE_INFINITY) - acceptedMs,
      idleMs: (idle ?? Number.POSITIVE_INFINITY) - acceptedMs,
    };
  });
  const speechEnds = interrupts.map(({ speechMs }) => speechMs);
  const idleFrames = interrupts.map(({ idleMs }) => idleMs);
  const replies = interrupts.map(({ sentMs, acceptedMs }) => acceptedMs - sentMs);
  const ms = { group: GROUP, unit: 'ms' };
  return {
    interrupts,
    figures: [
      { ...ms, name: 'last packet with speech, p50', value: percentile(speechEnds, 0.5) },
      {
        ...ms,
        name: 'last packet with speech, p95',
        aim: { atMost: 25 },
        value: percentile(speechEnds, 0.95),
        note: `${interrupts.length} interrupts`,
      },
      { ...ms, name: 'first idle frame, p50', value: percentile(idleFrames, 0.5) },
      { ...ms, name: 'first idle frame, p95', aim: { atMost: 45 }, value: percentile(idleFrames, 0.95) },
      { ...ms, name: 'request to 202, p50', value: percentile(replies, 0.5), note: 'not included above' },
    ],
  };
}

/** @returns the arrival times of the frames that are not speech. */
async function darkFrameArrivals({ video }: Recording): Promise<number[]> {
  const frames = framesOf(video.ordered());
  const brightness = await brightnessOf(frames);
  return frames.filter((_, i) => (brightness[i] ?? 255) < WHITE).map(({ arrivedMs }) => arrivedMs);
}
