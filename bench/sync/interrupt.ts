/**
 * Barge-in: from the interrupt to the end of the old voice, and to the first idle frame.
 *
 * The speech is white with a steady 440 Hz tone, idle is black and silent. A receiver without a browser listens through coturn
 * while this same process posts the interrupts, at random points of the speech, so one clock times both. An interrupt counts
 * as accepted when its 202 has arrived here; what comes earlier than that counts as negative. The old voice is in a
 * packet while what libopus makes of it is within 40 dB of the tone. A frame has come when its last packet has.
 *
 * Limits: times include the way through coturn and this process's own event loop, a few tenths of a millisecond each.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Receiver, waitFor } from '@humancast/testkit';
import type { Figure } from '../lib/figures.ts';
import { brightnessOf, framesOf } from '../lib/picture.ts';
import { Recording } from '../lib/recording.ts';
import type { Scene } from '../lib/scene.ts';
import { levelOf, SoundDecoder } from '../lib/sound.ts';
import { percentile } from '../lib/stats.ts';

export interface InterruptResult {
  readonly figures: Figure[];
  readonly interrupts: readonly Interrupt[];
}

interface Posted {
  readonly sentMs: number;
  readonly acceptedMs: number;
  /** Well after the voice had ended, and before the next speech. */
  readonly overMs: number;
}

interface Interrupt extends Posted {
  /** Arrival of the last packet with the old voice, and of the first idle frame; after acceptance. */
  readonly voiceMs: number;
  readonly pictureMs: number;
}

interface Heard {
  readonly arrivedMs: number;
  readonly level: number;
}

/** The tone's root mean square is 0.35 (an amplitude of a half); 40 dB below. */
const VOICE_LEVEL = 0.0035;
const WHITE = 128;
/** After the voice has begun. */
const SPOKEN_MS = { from: 100, to: 900 };
const SETTLE_MS = 300;
const GROUP = 'Interrupt, from its 202';

export async function measureInterrupts(
  { stack, producer }: Scene,
  options: { avatar: string; segment: string; count: number },
): Promise<InterruptResult> {
  const recording = new Recording();
  const decoder = new SoundDecoder();
  const heard: Heard[] = [];
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
          heard.push({ arrivedMs: packet.arrivedMs, level: levelOf(decoder.decode(packet.payload)) });
        }
      },
    },
  });
  const voiceNow = () => (heard.at(-1)?.level ?? 0) > VOICE_LEVEL;
  const posted: Posted[] = [];
  for (let i = 0; i < options.count; i++) {
    await producer.speak(session.id, [segment]);
    await waitFor('the voice begins', voiceNow);
    await sleep(SPOKEN_MS.from + Math.random() * (SPOKEN_MS.to - SPOKEN_MS.from));
    const sentMs = performance.now();
    await producer.interrupt(session.id);
    const acceptedMs = performance.now();
    await waitFor('the voice ends', () => !voiceNow());
    await sleep(SETTLE_MS);
    posted.push({ sentMs, acceptedMs, overMs: performance.now() });
  }
  receiver.close();
  await producer.endSession(session.id);
  const dark = await darkFrameArrivals(recording);
  return evaluate(posted, heard, dark);
}

function evaluate(posted: readonly Posted[], heard: readonly Heard[], darkMs: readonly number[]): InterruptResult {
  const interrupts = posted.map((one): Interrupt => {
    const { sentMs, acceptedMs, overMs } = one;
    const voice = heard.filter(({ arrivedMs, level }) => arrivedMs < overMs && level > VOICE_LEVEL).at(-1);
    const picture = darkMs.find((arrivedMs) => arrivedMs > sentMs && arrivedMs < overMs);
    return {
      ...one,
      voiceMs: (voice?.arrivedMs ?? Number.POSITIVE_INFINITY) - acceptedMs,
      pictureMs: (picture ?? Number.POSITIVE_INFINITY) - acceptedMs,
    };
  });
  const voices = interrupts.map(({ voiceMs }) => voiceMs);
  const pictures = interrupts.map(({ pictureMs }) => pictureMs);
  const replies = interrupts.map(({ sentMs, acceptedMs }) => acceptedMs - sentMs);
  const ms = { group: GROUP, unit: 'ms' };
  return {
    interrupts,
    figures: [
      { ...ms, name: 'last packet with the old voice, p50', value: percentile(voices, 0.5) },
      {
        ...ms,
        name: 'last packet with the old voice, p95',
        aim: { atMost: 25 },
        value: percentile(voices, 0.95),
        note: `${interrupts.length} interrupts`,
      },
      { ...ms, name: 'first idle frame, p50', value: percentile(pictures, 0.5) },
      { ...ms, name: 'first idle frame, p95', aim: { atMost: 45 }, value: percentile(pictures, 0.95) },
      { ...ms, name: 'request to 202, p50', value: percentile(replies, 0.5), note: 'not in the above' },
    ],
  };
}

/** When each frame that is not of the speech had arrived. */
async function darkFrameArrivals({ video }: Recording): Promise<number[]> {
  const frames = framesOf(video.ordered());
  const brightness = await brightnessOf(frames);
  return frames.filter((_, i) => (brightness[i] ?? 255) < WHITE).map(({ arrivedMs }) => arrivedMs);
}
