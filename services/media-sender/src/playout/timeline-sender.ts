import type { Codec } from '@humancast/protocol';
import { type Clock, samplesToMs } from '@humancast/shared';
import { AudioPacket } from '../rtp/audio-packet.js';
import { BLOCK_SAMPLES, type ScheduledFrame } from './playout.js';
import type { Cancel, Scheduler, Task } from './scheduler.js';
import type { Timeline } from './timeline.js';
import type { FanoutMetrics, PlayoutSink, ViewerFanout } from './viewer-fanout.js';

/** Delay, ms, above which playout continues that much later instead of sending what it missed in a burst. */
const MAX_BEHIND_MS = 300;

/** The source of frames and audio packets of a timeline, in the order of position. */
interface TimelineSource {
  /** @returns The frame that is due next, without removing it. */
  peekFrame(): ScheduledFrame | undefined;
  takeFrame(): ScheduledFrame | undefined;
  /** @returns The Opus packet for the next 20 ms. It is asked for once per position. */
  nextAudio(positionSamples: number): Buffer;
  /** Audio of this many packets is not sent, because nothing could be sent at its time. */
  skip(blocks: number): void;
}

/** Metrics of playout; each call is on the path of a packet. */
export interface TimelineMetrics extends FanoutMetrics {
  late(track: 'audio' | 'video', lateMs: number): void;
  /** @param skewMs How much later than the audio of the same instant the frame was sent; negative if earlier. */
  frameSent(skewMs: number): void;
  skipped(ms: number): void;
}

export interface TimelineSenderOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly source: TimelineSource;
  readonly viewers: ViewerFanout;
  readonly metrics: TimelineMetrics;
  /** Whether media may be sent at this instant. */
  readonly maySend: () => boolean;
  /** Called after audio was sent, with the position up to which it was. */
  readonly onAudioSent?: (toSamples: number, nowMs: number) => void;
  /** Called after a frame was shown. */
  readonly onFrameShown?: (frame: ScheduledFrame, nowMs: number) => void;
  /** Called when sending threw: nothing more is sent. */
  readonly onFault: (error: unknown) => void;
}

/**
 * Sends what a source decides to all viewers: an audio packet every 20 ms, each frame at its time, and sender reports, all
 * due at absolute instants of one timeline.
 */
export class TimelineSender implements Task {
  readonly #options: TimelineSenderOptions;
  #timeline: Timeline | undefined;
  #cancel: Cancel | undefined;
  /** Timeline position of the next audio packet. */
  #audioSamples = 0;
  /** The audio for that position, once taken from the source. */
  #audio: Buffer | undefined;
  /** The last audio packet, which the next one may repeat. */
  #lastAudio: AudioPacket | undefined;
  /** Delay of the last audio packet, ms. */
  #audioLateMs = 0;
  /** The frame that is shown. */
  #showing: ScheduledFrame | undefined;
  #suspendedAtMs: number | undefined;
  #isClosed = false;

  constructor(options: TimelineSenderOptions) {
    this.#options = options;
  }

  get timeline(): Timeline | undefined {
    return this.#timeline;
  }

  /** @param audioSamples Position of the first audio packet. */
  start(timeline: Timeline, audioSamples = 0): void {
    this.#timeline = timeline;
    this.#audioSamples = audioSamples;
    if (this.#suspendedAtMs !== undefined || this.#isClosed) return;
    this.#cancel = this.#options.scheduler.add(this, timeline.dueMs(audioSamples));
  }

  /** Starts sending to a connected viewer, at once and from the start of the current GOP. */
  addViewer(id: string, codec: Codec, sink: PlayoutSink): void {
    const { clock, viewers } = this.#options;
    const nowMs = clock.nowMs();
    viewers.add(id, codec, sink, this.#showing, nowMs);
    if (this.#timeline && this.#suspendedAtMs === undefined) viewers.pumpOne(id, nowMs);
  }

  /** Serves a viewer's keyframe request. */
  recover(id: string): void {
    const { clock, viewers } = this.#options;
    const nowMs = clock.nowMs();
    viewers.recover(id, this.#showing, nowMs);
    if (this.#suspendedAtMs === undefined) viewers.pumpOne(id, nowMs);
  }

  /** Replaces the timeline by one that differs by less than a millisecond. */
  adjust(timeline: Timeline): void {
    this.#timeline = timeline;
  }

  /** Stops sending until {@link resume}. */
  suspend(): void {
    if (this.#suspendedAtMs !== undefined || this.#isClosed) return;
    this.#suspendedAtMs = this.#options.clock.nowMs();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  resume(): void {
    if (this.#suspendedAtMs === undefined || this.#isClosed) return;
    this.#suspendedAtMs = undefined;
    if (!this.#timeline) return;
    const nowMs = this.#options.clock.nowMs();
    this.#skipTo(this.#timeline, nowMs);
    this.#cancel = this.#options.scheduler.add(this, nowMs);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  /** @returns The position by the clock, but never beyond what has been sent. */
  positionNow(): number {
    const nowMs = this.#suspendedAtMs ?? this.#options.clock.nowMs();
    return this.#timeline ? Math.min(this.#timeline.positionAt(nowMs), this.#audioSamples) : 0;
  }

  run(nowMs: number): number | undefined {
    try {
      return this.#run(nowMs);
    } catch (error) {
      this.#options.onFault(error);
      return undefined;
    }
  }

  #run(nowMs: number): number | undefined {
    const timeline = this.#timeline;
    if (!timeline) return undefined;
    const { source, viewers, maySend } = this.#options;
    if (nowMs - timeline.dueMs(this.#audioSamples) > MAX_BEHIND_MS) this.#skipTo(timeline, nowMs);
    // In order of position, so that a late packet is not overtaken by one of the other track.
    for (;;) {
      const frame = source.peekFrame();
      const audioDueMs = timeline.dueMs(this.#audioSamples);
      const frameDueMs = frame ? timeline.dueMs(frame.positionSamples) : Number.POSITIVE_INFINITY;
      const dueMs = Math.min(audioDueMs, frameDueMs);
      if (dueMs > nowMs) return viewers.pump(nowMs, dueMs);
      // The lease may run out in the middle of a run: playout waits at the first packet that must not be sent.
      if (!maySend()) return dueMs;
      if (frame && frameDueMs <= audioDueMs) this.#showFrame(frame, nowMs, nowMs - frameDueMs);
      else if (!this.#sendAudio(timeline, nowMs, nowMs - audioDueMs)) return dueMs;
    }
  }

  /** @returns `false` if no viewer's connection took the packet, so that it stays the next one. */
  #sendAudio(timeline: Timeline, nowMs: number, lateMs: number): boolean {
    const { source, viewers, metrics, onAudioSent } = this.#options;
    this.#audio ??= source.nextAudio(this.#audioSamples);
    const packet = new AudioPacket(this.#audio, this.#audioSamples, this.#lastAudio);
    if (!viewers.sendAudio(packet, timeline, nowMs)) return false;
    this.#audio = undefined;
    this.#lastAudio = packet;
    this.#audioSamples += BLOCK_SAMPLES;
    this.#audioLateMs = lateMs;
    metrics.late('audio', lateMs);
    onAudioSent?.(this.#audioSamples, nowMs);
    return true;
  }

  #showFrame(frame: ScheduledFrame, nowMs: number, lateMs: number): void {
    const { source, viewers, metrics, onFrameShown } = this.#options;
    this.#showing = frame;
    // Before it is taken, because its clip may be released then.
    viewers.show(frame, nowMs);
    source.takeFrame();
    metrics.late('video', lateMs);
    metrics.frameSent(lateMs - this.#audioLateMs);
    onFrameShown?.(frame, nowMs);
  }

  /** Skips time in which nothing was sent. */
  #skipTo(timeline: Timeline, nowMs: number): void {
    const blocks = Math.floor((nowMs - timeline.dueMs(this.#audioSamples)) / samplesToMs(BLOCK_SAMPLES));
    if (blocks <= 0) return;
    this.#options.source.skip(blocks);
    this.#audioSamples += blocks * BLOCK_SAMPLES;
    this.#options.metrics.skipped(blocks * samplesToMs(BLOCK_SAMPLES));
  }
}
