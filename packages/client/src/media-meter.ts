import type { ViewerReport } from '@humancast/protocol';
import type { Display } from './display.js';
import type { Environment } from './environment.js';
import type { MediaPeer } from './media-peer.js';
import { PresentationWatch } from './presentation-watch.js';
import { packetsOf, type ReceiverSnapshot } from './receiver-stats.js';
import { ReceiverSync, type SyncState } from './receiver-sync.js';
import { type ClientStats, NOTHING_YET, reportBetween, statsBetween } from './report.js';

/** Interval at which packet counters are read, ms. A read costs the browser about half a millisecond. */
const LOOK_MS = 250;
/** Read interval while media is lost, so that its return is detected early. */
const LOST_LOOK_MS = 100;
/** Interval of measurements, ms. */
const MEASURE_MS = 1000;
/** Audio is sent every 20 ms without pause, so media is suspected to be lost after this long without a packet, ms. */
const SUSPICION_MS = 500;
/** After this long without a packet, media counts as lost, ms. */
const SILENCE_MS = 1200;
/** Delay of a read, ms, that shows that the page was suspended (a sleeping laptop); timers of hidden pages are less late. */
const SUSPENDED_MS = 2000;
/** Time after a suspension in which packets may be older ones, which the system had kept, ms. */
const BACKLOG_MS = 1000;
/** Consecutive reads with new packets after which lost media counts as found. */
const FRESH_LOOKS = 3;

export type MeteredDisplay = Pick<Display, 'framesPresented' | 'paused' | 'renew'>;

export interface MediaMeterListener {
  stats(stats: ClientStats): void;
  /** @returns Whether the report was sent; if not, its counts are added to the next one. */
  report(report: ViewerReport): boolean;
  /** Packets are late. Called once each time that they stop. */
  suspected(): void;
  /**
   * No more packets arrive.
   * @param suspended Whether none has arrived since the page was suspended.
   */
  lost(suspended: boolean): void;
  /** Packets arrive again. */
  found(): void;
  /** Video has frozen, or moves again. */
  still(): void;
}

export interface MediaMeterStart {
  /** Time from connect() to the first frame, ms; part of the first report. */
  firstFrameMs?: number | undefined;
  /** Delays of the previous connection's tracks. */
  sync?: SyncState | undefined;
}

/** Measures the displayed connection: whether media arrives, its quality, and its lip sync. */
export class MediaMeter {
  readonly #peer: Pick<MediaPeer, 'snapshot' | 'receivers'>;
  readonly #environment: Environment;
  readonly #listener: MediaMeterListener;
  readonly #display: MeteredDisplay;
  readonly #presentation: PresentationWatch;
  readonly #sync: ReceiverSync;
  #firstFrameMs: number | undefined;
  #measured: ReceiverSnapshot | undefined;
  #reported = NOTHING_YET;
  #measuredAtMs: number;
  #packets = 0;
  #packetAtMs: number;
  #suspected = false;
  /** End of the last suspension of the page. */
  #resumedAtMs = Number.NEGATIVE_INFINITY;
  /** Consecutive reads that found new packets since media was lost. */
  #freshLooks = 0;
  #flowing = true;
  #still = false;
  #closed = false;
  #cancel = () => {};

  constructor(
    peer: Pick<MediaPeer, 'snapshot' | 'receivers'>,
    display: MeteredDisplay,
    environment: Environment,
    start: MediaMeterStart,
    listener: MediaMeterListener,
  ) {
    this.#peer = peer;
    this.#display = display;
    this.#environment = environment;
    this.#listener = listener;
    this.#firstFrameMs = start.firstFrameMs;
    this.#measuredAtMs = environment.clock.nowMs();
    this.#sync = new ReceiverSync(peer.receivers, this.#measuredAtMs, start.sync);
    this.#packetAtMs = this.#measuredAtMs;
    this.#presentation = new PresentationWatch(this.#measuredAtMs, () => display.renew());
    this.#pollLater();
  }

  get sync(): SyncState | undefined {
    return this.#sync.state;
  }

  get flowing(): boolean {
    return this.#flowing;
  }

  /** Whether video is frozen although media arrives. */
  get still(): boolean {
    return this.#still;
  }

  /**
   * Declares media lost because of another sign that no more packets will come. Arriving packets refute it.
   * @returns Whether it was not lost before.
   */
  declareLost(): boolean {
    if (!this.#flowing || this.#closed) return false;
    this.#flowing = false;
    this.#freshLooks = 0;
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#flowing = false;
    this.#cancel();
  }

  #pollLater(): void {
    const { clock } = this.#environment;
    const delayMs = this.#flowing ? LOOK_MS : LOST_LOOK_MS;
    const dueMs = clock.nowMs() + delayMs;
    this.#cancel = clock.after(delayMs, async () => {
      const nowMs = clock.nowMs();
      // Nothing was seen meanwhile, so silence counts from now on.
      if (nowMs - dueMs >= SUSPENDED_MS) this.#resumedAtMs = this.#packetAtMs = nowMs;
      const snapshot = await this.#peer.snapshot();
      if (this.#closed) return;
      if (snapshot) this.#poll(snapshot);
      else this.#lose();
      if (!this.#closed) this.#pollLater();
    });
  }

  #poll(snapshot: ReceiverSnapshot): void {
    const now = this.#environment.clock.nowMs();
    const packets = packetsOf(snapshot);
    if (packets !== this.#packets) {
      this.#packets = packets;
      this.#packetAtMs = now;
      this.#suspected = false;
      // A single read may only have found packets that were still in flight.
      if (!this.#flowing && ++this.#freshLooks >= FRESH_LOOKS) {
        this.#flowing = true;
        this.#listener.found();
      }
    } else {
      this.#freshLooks = 0;
      this.#judgeSilence(now - this.#packetAtMs);
    }
    this.#watchPresentation(snapshot, now);
    if (this.#flowing && now - this.#measuredAtMs >= MEASURE_MS - LOOK_MS / 2) this.#measure(snapshot, now);
  }

  #judgeSilence(silenceMs: number): void {
    if (silenceMs >= SUSPICION_MS && !this.#suspected) {
      this.#suspected = true;
      this.#listener.suspected();
    }
    if (silenceMs >= SILENCE_MS) this.#lose();
  }

  #watchPresentation(snapshot: ReceiverSnapshot, nowMs: number): void {
    const still = this.#presentation.look({
      nowMs,
      framesDecoded: snapshot.video?.framesDecoded ?? 0,
      framesPresented: this.#display.framesPresented,
      presenting: this.#environment.isVisible() && !this.#display.paused,
    });
    if (still === this.#still) return;
    this.#still = still;
    this.#listener.still();
  }

  #lose(): void {
    if (this.declareLost()) this.#listener.lost(this.#packetAtMs < this.#resumedAtMs + BACKLOG_MS);
  }

  #measure(snapshot: ReceiverSnapshot, nowMs: number): void {
    this.#measuredAtMs = nowMs;
    const before = this.#measured;
    this.#measured = snapshot;
    if (before) {
      this.#sync.update(before, snapshot, nowMs);
      this.#listener.stats(statsBetween(before, snapshot, this.#sync));
    }
    if (this.#closed) return;
    const report = reportBetween(this.#reported, snapshot, this.#sync, this.#firstFrameMs);
    if (!this.#listener.report(report)) return;
    this.#reported = snapshot;
    this.#firstFrameMs = undefined;
  }
}
