import type { CutPolicy } from '@humancast/protocol';
import { CLOCK_RATE } from '@humancast/shared';
import type { Availability, Clip, Rung } from './clip.js';
import { BLOCK_PCM, BLOCK_SAMPLES, Playout, type QueueItem, type ScheduledFrame } from './playout.js';
import type { AudioEncoder } from './session-player.js';

/** Time for which a follower goes on without its host: more than it takes until another one hosts the session. */
export const STAND_IN_SAMPLES = 8 * CLOCK_RATE;

export interface StandInOptions {
  readonly encoder: AudioEncoder;
  readonly cutPolicy: CutPolicy;
  readonly crossfadeSamples: number;
  readonly pauseSamples: number;
  readonly nextIdle: () => Clip | undefined;
  readonly isIdleReady: () => boolean;
  /** Called with an idle clip that is not needed any more, except for the frames that {@link StandIn.next} has returned. */
  readonly onLeft: (clip: Clip) => void;
}

/**
 * Decides what a session plays while its host does not, as the host would: the clip that plays, then what it had queued, then
 * idle. It reports nothing, because it does not host the session.
 */
export class StandIn {
  readonly #encoder: AudioEncoder;
  readonly #playout: Playout;
  readonly #block = new Int16Array(BLOCK_PCM);

  /**
   * @param playing The clip that plays, and its position at `fromSamples`; it stays the caller's, as `upcoming` do.
   * @param fromSamples Timeline position of the first audio packet.
   */
  constructor(
    options: StandInOptions,
    playing: QueueItem & { readonly positionSamples: number },
    fromSamples: number,
    upcoming: readonly QueueItem[],
  ) {
    const { encoder, nextIdle, onLeft } = options;
    this.#encoder = encoder;
    const current = { seq: playing.seq, clip: new BorrowedClip(playing.clip) };
    let isFirst = playing.seq === 0;
    this.#playout = new Playout(encoder.lookaheadSamples - BLOCK_SAMPLES, {
      ...options,
      nextIdle: () => {
        if (isFirst) {
          isFirst = false;
          return current.clip;
        }
        const idle = nextIdle();
        return idle && new BorrowedClip(idle, onLeft);
      },
      onStarted: () => {},
      onFinished: () => {},
      onHeld: () => {},
      onWaiting: () => {},
    });
    this.#playout.startAt(fromSamples, true);
    const { seq, positionSamples } = playing;
    this.#playout.resumeAt({ segment: playing.clip.segment, seq, positionSamples, throughSeq: seq });
    if (seq > 0) this.#playout.enqueue(current);
    for (const item of upcoming) this.#playout.enqueue({ seq: item.seq, clip: new BorrowedClip(item.clip) });
    // The first block only primes the encoder's look-ahead.
    this.#encode();
  }

  /** Decides the next 20 ms. */
  next(): { opus: Buffer; frames: ScheduledFrame[] } {
    const opus = this.#encode();
    const frames: ScheduledFrame[] = [];
    for (let frame = this.#playout.takeFrame(); frame; frame = this.#playout.takeFrame()) {
      frames.push({ ...frame, clip: frame.clip instanceof BorrowedClip ? frame.clip.clip : frame.clip });
    }
    return { opus, frames };
  }

  close(): void {
    this.#playout.close(this.#playout.decidedSamples, false);
  }

  #encode(): Buffer {
    const hasAudio = this.#playout.next(this.#block);
    return this.#encoder.encode(this.#block, hasAudio);
  }
}

/** A clip that somebody else releases. */
class BorrowedClip implements Clip {
  readonly clip: Clip;
  readonly #onLeft: ((clip: Clip) => void) | undefined;

  constructor(clip: Clip, onLeft?: (clip: Clip) => void) {
    this.clip = clip;
    this.#onLeft = onLeft;
  }

  get segment(): string {
    return this.clip.segment;
  }
  get role(): 'idle' | 'speech' {
    return this.clip.role;
  }
  get fps(): Clip['fps'] {
    return this.clip.fps;
  }
  get frames(): number {
    return this.clip.frames;
  }
  get durationSamples(): number {
    return this.clip.durationSamples;
  }
  get gopFrames(): number {
    return this.clip.gopFrames;
  }
  get markFrames(): readonly number[] {
    return this.clip.markFrames;
  }
  availability(fromSamples: number, toSamples: number): Availability {
    return this.clip.availability(fromSamples, toSamples);
  }
  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void {
    this.clip.readPcm(fromSamples, out, at, count);
  }
  rungs(codec: Parameters<Clip['rungs']>[0]): readonly Rung[] {
    return this.clip.rungs(codec);
  }
  frame(...of: Parameters<Clip['frame']>): ReturnType<Clip['frame']> {
    return this.clip.frame(...of);
  }
  readySamples(fromSamples: number): number {
    return this.clip.readySamples(fromSamples);
  }
  follow(positionSamples: number): void {
    this.clip.follow(positionSamples);
  }
  release(): void {
    this.#onLeft?.(this.clip);
  }
}
