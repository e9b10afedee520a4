import type { ViewerReport } from '@humancast/protocol';
import type { Display } from './display.js';
import type { Environment } from './environment.js';
import { LipSyncTrim, type SyncTargets } from './lip-sync-trim.js';
import type { MediaPeer } from './media-peer.js';
import { PresentationWatch } from './presentation-watch.js';
import { packetsOf, type ReceiverSnapshot } from './receiver-stats.js';
import { ReceiverSync } from './receiver-sync.js';
import { type ClientStats, NOTHING_YET, reportBetween, statsBetween } from './report.js';

/** Between looks at the packet counters, ms. A look costs the browser about half a millisecond. */
const LOOK_MS = 250;
/** Between measurements, ms. */
const MEASURE_MS = 1000;
/** Sound is sent every 20 ms, always: this much silence on the wire is a loss, not a pause. */
const SILENCE_MS = 1200;
const FRESH_LOOKS = 2;

export type MeteredDisplay = Pick<Display, 'framesPresented' | 'paused' | 'renew'>;

export interface MediaMeterListener {
  stats(stats: ClientStats): void;
  /** → whether it could be sent; if not, what it counted goes into the next one. */
  report(report: ViewerReport): boolean;
  /** Nothing arrives any more. */
  lost(): void;
  /** It arrives again. */
  found(): void;
  /** Whether the picture stands still has changed. */
  still(): void;
}

export interface MediaMeterStart {
  /** From calling connect to the first frame; goes into the first report. */
  firstFrameMs?: number | undefined;
  /** What held the tracks together on the connection before. */
  sync?: SyncTargets | undefined;
}

/** Watches the connection that is on display: whether media flows, how well, and how far picture and voice are apart. */
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
  /** Looks in a row that found new packets, since the media was lost. */
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
    this.#sync = new ReceiverSync(peer.receivers, new LipSyncTrim(start.sync && { initial: start.sync }));
    this.#measuredAtMs = environment.clock.nowMs();
    this.#packetAtMs = this.#measuredAtMs;
    this.#presentation = new PresentationWatch(this.#measuredAtMs, () => display.renew());
    this.#lookLater();
  }

  get sync(): SyncTargets | undefined {
    return this.#sync.targets;
  }

  get flowing(): boolean {
    return this.#flowing;
  }

  /** Whether media arrives and the picture stands still all the same. */
  get still(): boolean {
    return this.#still;
  }

  /**
   * It is known from elsewhere that nothing will arrive. Packets that keep arriving prove otherwise.
   * → whether this is news.
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

  #lookLater(): void {
    this.#cancel = this.#environment.clock.after(LOOK_MS, async () => {
      const snapshot = await this.#peer.snapshot();
      if (this.#closed) return;
      if (snapshot) this.#look(snapshot);
      else this.#lose();
      if (!this.#closed) this.#lookLater();
    });
  }

  #look(snapshot: ReceiverSnapshot): void {
    const now = this.#environment.clock.nowMs();
    const packets = packetsOf(snapshot);
    if (packets !== this.#packets) {
      this.#packets = packets;
      this.#packetAtMs = now;
      // One look may only have found what was still under way.
      if (!this.#flowing && ++this.#freshLooks >= FRESH_LOOKS) {
        this.#flowing = true;
        this.#listener.found();
      }
    } else {
      this.#freshLooks = 0;
      if (now - this.#packetAtMs >= SILENCE_MS) this.#lose();
    }
    this.#watchPresentation(snapshot, now);
    if (this.#flowing && now - this.#measuredAtMs >= MEASURE_MS - LOOK_MS / 2) this.#measure(snapshot, now);
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
    if (this.declareLost()) this.#listener.lost();
  }

  #measure(snapshot: ReceiverSnapshot, nowMs: number): void {
    this.#measuredAtMs = nowMs;
    const before = this.#measured;
    this.#measured = snapshot;
    if (before) {
      this.#sync.update(before, snapshot);
      this.#listener.stats(statsBetween(before, snapshot, this.#sync.addedMs));
    }
    if (this.#closed) return;
    const report = reportBetween(this.#reported, snapshot, this.#sync.addedMs, this.#firstFrameMs);
    if (!this.#listener.report(report)) return;
    this.#reported = snapshot;
    this.#firstFrameMs = undefined;
  }
}
