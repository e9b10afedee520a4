import { setTimeout as sleep } from 'node:timers/promises';
import type { LivePush } from '@humancast/producer';
import { FRAMES_PER_SECOND, type Utterance } from '../speech/utterances.js';
import type { FaceCamera } from '../video/face-camera.js';

/** Time, as pacing needs it. */
export interface Pacemaker {
  nowMs(): number;
  sleep(ms: number, signal: AbortSignal): Promise<void>;
}

const REAL_TIME: Pacemaker = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleep(ms, undefined, { signal }),
};

export interface LiveSpeechOptions {
  /** How far frames are drawn ahead of real time. */
  aheadMs: number;
  signal: AbortSignal;
  /** The first frame has been pushed. */
  onStart?: () => void;
}

/**
 * Draws and pushes utterances, at real time but for what is ahead: a machine that draws as fast as it can has no time left for
 * anything else, and draws what nobody may come to see.
 * @throws what the push fails with, or the signal's reason.
 */
export async function pushSpeech(
  push: Pick<LivePush, 'pushVideo' | 'pushAudio'>,
  utterances: AsyncIterable<Utterance>,
  camera: Pick<FaceCamera, 'frameOf'>,
  { aheadMs, signal, onStart }: LiveSpeechOptions,
  time: Pacemaker = REAL_TIME,
): Promise<void> {
  let pushed = 0;
  let startMs: number | undefined;
  for await (const utterance of utterances) {
    startMs ??= time.nowMs();
    for (let frame = 0; frame < utterance.frames; frame++) {
      signal.throwIfAborted();
      await push.pushAudio(utterance.audioOf(frame));
      await push.pushVideo(camera.frameOf(utterance.poseAt(frame)));
      if (++pushed === 1) onStart?.();
      const earlyMs = startMs + (pushed * 1000) / FRAMES_PER_SECOND - aheadMs - time.nowMs();
      // At least once around the event loop after each frame: drawing must not keep requests waiting.
      await time.sleep(Math.max(0, earlyMs), signal);
    }
  }
}
