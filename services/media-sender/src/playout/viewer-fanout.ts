import type { Codec } from '@humancast/protocol';
import type { AudioPacket } from '../rtp/audio-packet.js';
import type { ScheduledFrame } from './playout.js';
import type { RenditionDemand } from './rendition-demand.js';
import type { Timeline } from './timeline.js';
import { VideoPacer, type VideoSink } from './video-pacer.js';

/** Browsers can lip-sync from the second report on, so the first ones follow quickly; then one a second (RFC 3550 §6.2). */
const REPORT_DELAYS_MS = [40, 200, 500];
const REPORT_INTERVAL_MS = 1000;

/** A viewer's connection, as playout uses it. */
export interface PlayoutSink extends VideoSink {
  /** @returns `false` if media may not be sent now; the packet must be sent later, and nothing is lost meanwhile. */
  sendAudio(packet: AudioPacket): boolean;
  sendReports(ntp: bigint, videoTicks: number, audioTicks: number): void;
}

/** The rung, rates and repair that a viewer is sent at this instant. */
export interface Sending {
  /** Place of the rendition in its codec's ladder of `rungs`; 0 is the largest. */
  readonly rung: number;
  readonly rungs: number;
  readonly estimateBps: number;
}

export interface FanoutMetrics {
  /** Bandwidth estimate of a viewer's path, bits per second; about once a second. */
  bandwidthEstimated(bps: number): void;
}

export interface ViewerFanoutOptions {
  /** Receives which renditions the viewers are sent. Default: none. */
  readonly demand?: RenditionDemand;
  readonly metrics: FanoutMetrics;
  /** Called when a viewer has been sent its first audio. */
  readonly onServed: (viewer: string) => void;
  /** Called when serving a viewer threw: it is removed, and the others are unaffected. */
  readonly onViewerFault: (viewer: string, error: unknown) => void;
}

interface Viewer {
  readonly id: string;
  readonly sink: PlayoutSink;
  readonly pacer: VideoPacer;
  nextReportMs: number;
  reports: number;
}

/** Sends what a session plays to each of its viewers: the same audio packets and frames, each paced by the viewer's path. */
export class ViewerFanout {
  readonly #options: ViewerFanoutOptions;
  readonly #viewers = new Map<string, Viewer>();

  constructor(options: ViewerFanoutOptions) {
    this.#options = options;
  }

  get count(): number {
    return this.#viewers.size;
  }

  /** @returns What each viewer is sent, by the id given to {@link add}. */
  sending(nowMs: number): ReadonlyMap<string, Sending> {
    const sending = new Map<string, Sending>();
    for (const { id, pacer, sink } of this.#viewers.values()) {
      const estimateBps = Math.round(sink.bandwidth.targetBps(nowMs));
      sending.set(id, { rung: pacer.rung, rungs: pacer.rungs, estimateBps });
    }
    return sending;
  }

  /** @param showing the frame that is shown, which the viewer gets with its GOP so far. */
  add(id: string, codec: Codec, sink: PlayoutSink, showing: ScheduledFrame | undefined, nowMs: number): void {
    const pacer = new VideoPacer(codec, sink, this.#options.demand);
    this.#viewers.set(id, { id, sink, pacer, nextReportMs: nowMs, reports: 0 });
    if (showing) pacer.show(showing, nowMs);
  }

  remove(id: string): void {
    this.#viewers.get(id)?.pacer.close();
    this.#viewers.delete(id);
  }

  clear(): void {
    this.#viewers.clear();
  }

  /** Serves a viewer's keyframe request. */
  recover(id: string, showing: ScheduledFrame | undefined, nowMs: number): void {
    this.#viewers.get(id)?.pacer.recover(showing, nowMs);
  }

  /**
   * Sends an audio packet, and sender reports where they are due.
   * @returns `false` if there are viewers and no connection took the packet, so that it stays the next one.
   */
  sendAudio(packet: AudioPacket, timeline: Timeline, nowMs: number): boolean {
    let isTaken = this.#viewers.size === 0;
    this.#serve((viewer) => {
      if (!viewer.sink.sendAudio(packet)) return;
      isTaken = true;
      if (nowMs >= viewer.nextReportMs) this.#report(viewer, timeline, nowMs);
    });
    return isTaken;
  }

  show(frame: ScheduledFrame, nowMs: number): void {
    this.#serve(({ pacer }) => pacer.show(frame, nowMs));
  }

  /** Sends what the paths carry now of what waits. @returns When to call again, monotonic ms; `dueMs` at the latest. */
  pump(nowMs: number, dueMs: number): number {
    let nextMs = dueMs;
    this.#serve(({ pacer }) => {
      nextMs = Math.min(nextMs, pacer.pump(nowMs) ?? nextMs);
    });
    return nextMs;
  }

  pumpOne(id: string, nowMs: number): void {
    this.#viewers.get(id)?.pacer.pump(nowMs);
  }

  /** Serves each viewer; an error with one does not affect the others. */
  #serve(one: (viewer: Viewer) => void): void {
    for (const viewer of this.#viewers.values()) {
      try {
        one(viewer);
      } catch (error) {
        this.remove(viewer.id);
        this.#options.onViewerFault(viewer.id, error);
      }
    }
  }

  #report(viewer: Viewer, timeline: Timeline, nowMs: number): void {
    const { ntp, videoTicks, audioTicks } = timeline.reportAt(nowMs);
    viewer.sink.sendReports(ntp, videoTicks, audioTicks);
    this.#options.metrics.bandwidthEstimated(viewer.sink.bandwidth.targetBps(nowMs));
    // The first report is sent with the first audio.
    if (viewer.reports === 0) this.#options.onServed(viewer.id);
    viewer.nextReportMs = nowMs + (REPORT_DELAYS_MS[viewer.reports] ?? REPORT_INTERVAL_MS);
    viewer.reports++;
  }
}
