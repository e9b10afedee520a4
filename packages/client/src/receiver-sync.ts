import { LipSyncTrim, type SyncTargets } from './lip-sync-trim.js';
import type { TrackPair } from './messages.js';
import { meanDelayMs, type ReceiverSnapshot, skewMsOf } from './receiver-stats.js';

/**
 * Chromium's video target includes 10 ms for rendering that its statistic leaves out (measured: a `jitterBufferTarget` of
 * 120 shows as 110; audio shows as it was set).
 */
const RENDER_DELAY_MS = 10;

export type Receivers = Partial<TrackPair<{ jitterBufferTarget: DOMHighResTimeStamp | null }>>;

/** The lip-sync trim on one connection's receivers. Where the browser has no `jitterBufferTarget`, it just plays. */
export class ReceiverSync {
  readonly #receivers: Receivers;
  readonly #trim: LipSyncTrim | undefined;

  constructor(receivers: Receivers, trim: LipSyncTrim | undefined) {
    const { audio, video } = receivers;
    this.#receivers = receivers;
    const able = audio && video && 'jitterBufferTarget' in audio && 'jitterBufferTarget' in video;
    this.#trim = able ? trim : undefined;
    this.#apply();
  }

  get targets(): SyncTargets | undefined {
    return this.#trim?.targets;
  }

  get addedMs(): TrackPair<number> {
    return this.#trim?.addedMs ?? { audio: 0, video: 0 };
  }

  /** Measures the time between two snapshots, about a second, and moves the receivers' targets if need be. */
  update(before: ReceiverSnapshot, now: ReceiverSnapshot): void {
    if (!this.#trim) return;
    const videoTargetMs = meanDelayMs('jitterBufferTargetDelay', before.video, now.video);
    this.#trim.update({
      skewMs: skewMsOf(now),
      delay: {
        audio: {
          targetMs: meanDelayMs('jitterBufferTargetDelay', before.audio, now.audio),
          minimumMs: meanDelayMs('jitterBufferMinimumDelay', before.audio, now.audio),
        },
        video: {
          targetMs: videoTargetMs === undefined ? undefined : videoTargetMs + RENDER_DELAY_MS,
          minimumMs: meanDelayMs('jitterBufferMinimumDelay', before.video, now.video),
        },
      },
    });
    this.#apply();
  }

  #apply(): void {
    for (const track of ['audio', 'video'] as const) {
      const receiver = this.#receivers[track];
      const target = this.#trim?.targets[track];
      if (receiver && target !== undefined && receiver.jitterBufferTarget !== target) {
        receiver.jitterBufferTarget = target;
      }
    }
  }
}
