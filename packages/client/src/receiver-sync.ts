import { LipSyncTrim, type SyncTargets } from './lip-sync-trim.js';
import type { TrackPair } from './messages.js';
import { meanDelayMs, type ReceiverSnapshot, skewMsOf } from './receiver-stats.js';
import { RepairDelay } from './repair-delay.js';
import { sum } from './report.js';
import { SharedDelay } from './shared-delay.js';

/**
 * Chromium's video target includes 10 ms for rendering, and the decoding time, which its statistics omit (measured: a
 * `jitterBufferTarget` of 120 is reported as 110, on a busy machine as 66; audio is reported as set).
 */
const RENDER_DELAY_MS = 10;
/** Maximum time assumed for rendering and decoding, ms. */
const MAX_RENDER_DELAY_MS = 100;
/** Move of a target above which the statistics reflect it fully only in the following second, ms. */
const STEADY_MS = 20;
/** Speed at which the measured maximum decays, ms per second, because a machine that was busy may be so again. */
const FORGET_MS_PER_S = 1;
/** Maximum target of a jitter buffer, ms; a longer delay would harm a conversation more than freezes do. */
const MAX_DELAY_MS = 700;

export type Receivers = Partial<TrackPair<{ jitterBufferTarget: DOMHighResTimeStamp | null }>>;

/** Delays of a connection's tracks, with which another connection over the same network starts. */
export interface SyncState {
  /** Targets of the lip-sync trim, without the delay for repairs. */
  readonly trim: SyncTargets;
  /** Total delay required for repairs, ms. */
  readonly repairDelayMs: number;
}

/**
 * Sets the jitter buffer targets of one connection's receivers: both tracks get the shared delay, and one of them the lip-
 * sync trim on top. Without `jitterBufferTarget` in the browser, it does nothing.
 */
export class ReceiverSync {
  readonly #receivers: Receivers;
  readonly #isAble: boolean;
  readonly #trim: LipSyncTrim;
  readonly #repair: RepairDelay;
  readonly #shared: SharedDelay;
  /** Share of a video target for rendering and decoding, ms. */
  #renderMs = RENDER_DELAY_MS;
  /** Video target of the second before the last one, ms. */
  #previousTargetMs: number | undefined;

  constructor(receivers: Receivers, nowMs: number, initial?: SyncState) {
    const { audio, video } = receivers;
    this.#receivers = receivers;
    this.#isAble = Boolean(audio && video && 'jitterBufferTarget' in audio && 'jitterBufferTarget' in video);
    this.#trim = new LipSyncTrim(initial && { initial: initial.trim });
    this.#repair = new RepairDelay(nowMs, { initialMs: initial?.repairDelayMs, maxMs: MAX_DELAY_MS });
    this.#shared = new SharedDelay(MAX_DELAY_MS, nowMs);
    this.#apply();
  }

  get state(): SyncState | undefined {
    if (!this.#isAble) return undefined;
    const { audio, video } = this.#trim.targets;
    const without = (target: number | null) => (target === null ? null : target - this.#shared.delayMs);
    return { trim: { audio: without(audio), video: without(video) }, repairDelayMs: this.#repair.delayMs };
  }

  /** Delay that the lip-sync trim adds to each track, ms. */
  get trimMs(): TrackPair<number> {
    return this.#trim.addedMs;
  }

  /** Delay of both tracks, for repairs or because of a queue, ms. */
  get sharedDelayMs(): number {
    return this.#shared.delayMs;
  }

  /** Evaluates the time between two snapshots, about a second, and moves the receivers' targets if necessary. */
  update(before: ReceiverSnapshot, now: ReceiverSnapshot, nowMs: number): void {
    if (!this.#isAble) return;
    this.#measureRenderDelay(meanDelayMs('jitterBufferTargetDelay', before.video, now.video));
    const mean = (field: 'jitterBufferTargetDelay' | 'jitterBufferMinimumDelay') => {
      const videoMs = meanDelayMs(field, before.video, now.video);
      const audio = meanDelayMs(field, before.audio, now.audio);
      return { audio, video: videoMs === undefined ? undefined : videoMs + this.#renderMs };
    };
    const target = mean('jitterBufferTargetDelay');
    const minimum = mean('jitterBufferMinimumDelay');
    const roundTripMs = now.roundTrip === undefined ? undefined : now.roundTrip * 1000;
    const [received, lost] = [sum(before, now, 'packetsReceived'), sum(before, now, 'packetsLost')];
    this.#repair.update({ received, lost, roundTripMs }, nowMs);
    if (target.audio !== undefined && target.video !== undefined) {
      const previousMs = this.#shared.delayMs;
      const both = { audio: target.audio, video: target.video };
      this.#shared.update({ target: both, minimum, repairMs: this.#repairMs }, nowMs);
      this.#trim.shift(this.#shared.delayMs - previousMs);
    }
    const delayOf = (track: 'audio' | 'video') => ({
      targetMs: target[track],
      minimumMs: maxOf(minimum[track], this.#shared.targetMs(track)),
    });
    this.#trim.update({ skewMs: skewMsOf(now), delay: { audio: delayOf('audio'), video: delayOf('video') } });
    this.#apply();
  }

  /** Video target required for repairs, ms; 0 for none. */
  get #repairMs(): number {
    return this.#repair.delayMs > 0 ? this.#repair.delayMs + this.#renderMs - RENDER_DELAY_MS : 0;
  }

  /** @param shownMs The video target as reported by the browser. */
  #measureRenderDelay(shownMs: number | undefined): void {
    const setMs = this.#receivers.video?.jitterBufferTarget ?? undefined;
    const isSteady = Math.abs((setMs ?? 0) - (this.#previousTargetMs ?? 0)) <= STEADY_MS;
    this.#previousTargetMs = setMs;
    const neededMs = isSteady && setMs !== undefined && shownMs !== undefined ? setMs - shownMs : 0;
    const keptMs = Math.max(RENDER_DELAY_MS, this.#renderMs - FORGET_MS_PER_S);
    this.#renderMs = Math.min(Math.max(keptMs, neededMs), MAX_RENDER_DELAY_MS);
  }

  #apply(): void {
    if (!this.#isAble) return;
    for (const track of ['audio', 'video'] as const) {
      const target = maxOf(this.#trim.targets[track] ?? undefined, this.#shared.targetMs(track)) ?? null;
      const receiver = this.#receivers[track];
      if (receiver && receiver.jitterBufferTarget !== target) receiver.jitterBufferTarget = target;
    }
  }
}

function maxOf(...values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? Math.max(...known) : undefined;
}
