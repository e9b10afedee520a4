import type { Heard } from '@humancast/protocol';
import { samplesToMs } from '@humancast/shared';
import type { Playhead } from '../playout/playout.js';
import type { HeardFrame } from '../receive/audio-receiver.js';

/** How long a browser delays audio if it has not reported that, ms. */
export const USUAL_BUFFER_MS = 60;

export interface SessionVoicesOptions {
  readonly epoch: number;
  readonly publish: (heard: Heard, pcm: Int16Array) => void;
  /** @returns What was played at an instant, monotonic ms. */
  readonly playedAt: (atMs: number) => Playhead | undefined;
  readonly nowMs: () => number;
  readonly wallMs: () => number;
}

/** The delays between a viewer and this process. */
export interface ViewerDelays {
  readonly roundTripMs: number | undefined;
  /** Delay of audio in the viewer's jitter buffer. */
  readonly bufferMs: number | undefined;
}

/** Stamps what is heard of a session's viewers with when it was said, and with what they were hearing then. */
export class SessionVoices {
  readonly #options: SessionVoicesOptions;
  /** Number of the next frame, by viewer. */
  readonly #frames = new Map<string, number>();

  constructor(options: SessionVoicesOptions) {
    this.#options = options;
  }

  heard(viewer: string, frame: HeardFrame, delays: ViewerDelays): void {
    const { epoch, publish } = this.#options;
    const number = this.#frames.get(viewer) ?? 0;
    this.#frames.set(viewer, number + 1);
    const heard: Heard = {
      viewer,
      epoch,
      frame: number,
      ...this.stamp(frame.atMs, delays),
      ...(frame.concealed && { concealed: true }),
      ...(frame.gapMs > 0 && { gapMs: Math.round(frame.gapMs) }),
    };
    publish(heard, frame.pcm);
  }

  /** @returns When something was said, and what the viewer was hearing then. @param atMs As of {@link HeardFrame.atMs}. */
  stamp(atMs: number, { roundTripMs = 0, bufferMs = USUAL_BUFFER_MS }: ViewerDelays): Pick<Heard, 'atMs' | 'playing'> {
    const { playedAt, nowMs, wallMs } = this.#options;
    // What comes back was heard a round trip ago, out of the viewer's jitter buffer.
    const playhead = playedAt(atMs - roundTripMs - bufferMs);
    return {
      atMs: Math.round(wallMs() - (nowMs() - atMs) - roundTripMs / 2),
      ...(playhead && {
        playing: {
          segment: playhead.clip.segment,
          role: playhead.clip.role,
          seq: playhead.seq,
          positionMs: Math.round(samplesToMs(playhead.positionSamples)),
        },
      }),
    };
  }

  /** Forgets a viewer that has left. */
  forget(viewer: string): void {
    this.#frames.delete(viewer);
  }
}
