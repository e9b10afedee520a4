import { LipSyncTrim, type SyncTargets } from './lip-sync-trim.js';
import type { TrackPair } from './messages.js';
import { meanDelayMs, type ReceiverSnapshot, skewMsOf } from './receiver-stats.js';
import { RepairDelay } from './repair-delay.js';
import { sum } from './report.js';

/**
 * Chromium's video target includes 10 ms for rendering that its statistics omit (measured: a `jitterBufferTarget` of 120 is
 * reported as 110; audio is reported as set).
 */
const RENDER_DELAY_MS = 10;
/** Maximum delay of a jitter buffer for repairs, ms; a longer one would harm a conversation more than freezes do. */
const MAX_DELAY_MS = 700;

export type Receivers = Partial<TrackPair<{ jitterBufferTarget: DOMHighResTimeStamp | null }>>;

/** Delays of a connection's tracks, with which another connection over the same network starts. */
export interface SyncState {
  /** Targets of the lip-sync trim, without the delay for repairs. */
  readonly trim: SyncTargets;
  /** Total delay wanted for repairs, ms. */
  readonly repairDelayMs: number;
}

/**
 * Sets the jitter buffer targets of one connection's receivers: both tracks are delayed by the same time for repairs, and
 * one of them by the lip-sync trim. Without `jitterBufferTarget` in the browser, it does nothing.
 */
export class ReceiverSync {
  readonly #receivers: Receivers;
  readonly #isAble: boolean;
  readonly #trim: LipSyncTrim;
  readonly #repair: RepairDelay;
  /** Delays of the jitter buffers when a delay for repairs began, ms. */
  #base: TrackPair<number> | undefined;
  #repairMs = 0;

  constructor(receivers: Receivers, nowMs: number, initial?: SyncState) {
    const { audio, video } = receivers;
    this.#receivers = receivers;
    this.#isAble = Boolean(audio && video && 'jitterBufferTarget' in audio && 'jitterBufferTarget' in video);
    this.#trim = new LipSyncTrim(initial && { initial: initial.trim });
    this.#repair = new RepairDelay(nowMs, { initialMs: initial?.repairDelayMs, maxMs: MAX_DELAY_MS });
    this.#apply();
  }

  get state(): SyncState | undefined {
    if (!this.#isAble) return undefined;
    const { audio, video } = this.#trim.targets;
    const without = (target: number | null) => (target === null ? null : target - this.#repairMs);
    return { trim: { audio: without(audio), video: without(video) }, repairDelayMs: this.#repair.delayMs };
  }

  /** Delay that the lip-sync trim adds to each track, ms. */
  get trimMs(): TrackPair<number> {
    return this.#trim.addedMs;
  }

  /** Delay of both tracks for repairs, ms. */
  get repairMs(): number {
    return this.#repairMs;
  }

  /** Evaluates the time between two snapshots, about a second, and moves the receivers' targets if necessary. */
  update(before: ReceiverSnapshot, now: ReceiverSnapshot, nowMs: number): void {
    if (!this.#isAble) return;
    const videoTargetMs = meanDelayMs('jitterBufferTargetDelay', before.video, now.video);
    const target = {
      audio: meanDelayMs('jitterBufferTargetDelay', before.audio, now.audio),
      video: videoTargetMs === undefined ? undefined : videoTargetMs + RENDER_DELAY_MS,
    };
    const roundTripMs = now.roundTrip === undefined ? undefined : now.roundTrip * 1000;
    const [received, lost] = [sum(before, now, 'packetsReceived'), sum(before, now, 'packetsLost')];
    this.#repair.update({ received, lost, roundTripMs }, nowMs);
    this.#delayBoth(target);
    const minimum = (track: 'audio' | 'video') => {
      const networkMs = meanDelayMs('jitterBufferMinimumDelay', before[track], now[track]);
      return this.#base ? Math.max(networkMs ?? 0, this.#base[track] + this.#repairMs) : networkMs;
    };
    this.#trim.update({
      skewMs: skewMsOf(now),
      delay: {
        audio: { targetMs: target.audio, minimumMs: minimum('audio') },
        video: { targetMs: target.video, minimumMs: minimum('video') },
      },
    });
    this.#apply();
  }

  /** Both tracks get the same additional delay, so that they stay in sync. */
  #delayBoth({ audio, video }: TrackPair<number | undefined>): void {
    if (!this.#base) {
      if (this.#repair.delayMs === 0 || audio === undefined || video === undefined) return;
      this.#base = { audio, video };
    }
    const base = this.#base;
    const maxMs = MAX_DELAY_MS - Math.max(base.audio, base.video);
    const repairMs = Math.round(Math.max(0, Math.min(this.#repair.delayMs - base.video, maxMs)));
    this.#trim.shift(repairMs - this.#repairMs);
    this.#repairMs = repairMs;
    if (repairMs === 0) this.#base = undefined;
  }

  #apply(): void {
    if (!this.#isAble) return;
    for (const track of ['audio', 'video'] as const) {
      const receiver = this.#receivers[track];
      const targets = [this.#trim.targets[track], this.#repairTarget(track)].filter((ms) => ms !== null);
      const target = targets.length > 0 ? Math.max(...targets) : null;
      if (receiver && receiver.jitterBufferTarget !== target) receiver.jitterBufferTarget = target;
    }
  }

  #repairTarget(track: 'audio' | 'video'): number | null {
    return this.#base && this.#repairMs > 0 ? Math.round(this.#base[track] + this.#repairMs) : null;
  }
}
