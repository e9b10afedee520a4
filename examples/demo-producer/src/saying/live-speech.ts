import { setTimeout as sleep } from 'node:timers/promises';
import { type FaceCamera, FRAMES_PER_SECOND } from '@humancast/demo-face';
import type { LivePush } from '@humancast/producer';
import type { Utterance } from '../speech/utterances.js';

/** Clock for pacing; tests use a fake one. */
export interface Pacemaker {
  nowMs(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const REAL_TIME: Pacemaker = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

export interface LiveSpeechOptions {
  /** How far frames are drawn ahead of real time, ms. */
  aheadMs: number;
  signal: AbortSignal;
  /** Called once the first frame has been pushed. */
  onStart?: () => void;
}

/**
 * Draws and pushes utterances, each with its text, in real time, at most `aheadMs` ahead: drawing without pause would starve everything else, and
 * waste work on speech that is interrupted.
 * @throws what the push fails with, or the signal's reason.
 */
export async function pushSpeech(
  push: Pick<LivePush, 'pushVideo' | 'pushAudio' | 'pushText'>,
  utterances: AsyncIterable<Utterance>,
  camera: Pick<FaceCamera, 'frameOf'>,
  { aheadMs, signal, onStart }: LiveSpeechOptions,
  time: Pacemaker = REAL_TIME,
): Promise<void> {
  let pushed = 0;
  let startMs: number | undefined;
  for await (const utterance of utterances) {
    startMs ??= time.nowMs();
    const { text, saidFromMs, saidUntilMs } = utterance;
    const beforeMs = (pushed * 1000) / FRAMES_PER_SECOND;
    await push.pushText(text, { atMs: beforeMs + saidFromMs, untilMs: beforeMs + saidUntilMs });
    for (let frame = 0; frame < utterance.frames; frame++) {
      signal.throwIfAborted();
      await push.pushAudio(utterance.audioOf(frame));
      await push.pushVideo(camera.frameOf(utterance.poseAt(frame)));
      if (++pushed === 1) onStart?.();
      const earlyMs = startMs + (pushed * 1000) / FRAMES_PER_SECOND - aheadMs - time.nowMs();
      // Sleeps at least one turn of the event loop after each frame: drawing must not delay requests.
      await time.sleep(Math.max(0, earlyMs), signal);
    }
  }
}
