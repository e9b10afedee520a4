import { type Codec, type CutPolicy, type FinishReason } from '@humancast/protocol';
import { type Clock, msToSamples, samplesToMs } from '@humancast/shared';
import { AudioPacket } from '../rtp/audio-packet.js';
import type { Clip } from './clip.js';
import { Interruption } from './interruption.js';
import { PlayedHistory } from './played-history.js';
import {
  BLOCK_PCM,
  BLOCK_SAMPLES,
  type Playhead,
  Playout,
  type QueueItem,
  type Resumption,
  type ScheduledFrame,
} from './playout.js';
import type { Cancel, Scheduler, Task } from './scheduler.js';
import type { Stagger } from './stagger.js';
import { Timeline } from './timeline.js';
import {
  type FanoutMetrics,
  type PlayoutSink,
  type Sending,
  ViewerFanout,
  type ViewerFanoutOptions,
} from './viewer-fanout.js';

/** Delay, ms, above which playout continues that much later instead of sending what it missed in a burst. */
const MAX_BEHIND_MS = 300;

interface AudioEncoder {
  readonly lookaheadSamples: number;
  encode(pcm: Int16Array, hasAudio: boolean): Buffer;
}

/** Metrics of playout; each call is on the path of a packet. */
export interface PlayoutMetrics extends FanoutMetrics {
  late(track: 'audio' | 'video', lateMs: number): void;
  /** @param skewMs How much later than the audio of the same instant the frame was sent; negative if earlier. */
  frameSent(skewMs: number): void;
  skipped(ms: number): void;
  /** A barge-in took effect on a track, this long after it was accepted. */
  interrupted(track: 'audio' | 'video', afterMs: number): void;
}

export interface SessionPlayerOptions extends ViewerFanoutOptions {
  clock: Clock;
  scheduler: Scheduler;
  encoder: AudioEncoder;
  metrics: PlayoutMetrics;
  cutPolicy: CutPolicy;
  crossfadeSamples: number;
  pauseSamples: number;
  stagger: Stagger;
  /** Whether media may be sent at this instant. */
  maySend: () => boolean;
  nextIdle: () => Clip | undefined;
  isIdleReady: () => boolean;
  onStarted: (item: QueueItem) => void;
  onFinished: (item: QueueItem, positionSamples: number, reason: FinishReason) => void;
  onHeld: (clip: Clip, heldSamples: number) => void;
  onWaiting: (isWaiting: boolean) => void;
  /** Called when playing threw: the session plays nothing more. */
  onFault: (error: unknown) => void;
}

/**
 * Plays a session's playout to its viewers: an audio packet every 20 ms, each frame at its time, and sender reports, all due
 * at absolute instants of the session's timeline. Audio is encoded once for all viewers.
 */
export class SessionPlayer implements Task {
  readonly #options: SessionPlayerOptions;
  readonly #playout: Playout;
  readonly #viewers: ViewerFanout;
  readonly #block = new Int16Array(BLOCK_PCM);
  #timeline: Timeline | undefined;
  #cancel: Cancel | undefined;
  /** Timeline position of the next audio packet. */
  #audioSamples = 0;
  /** The audio for that position, once encoded. */
  #encodedAudio: Buffer | undefined;
  /** The last audio packet, which the next one may repeat. */
  #lastAudio: AudioPacket | undefined;
  /** Delay of the last audio packet, ms. */
  #audioLateMs = 0;
  #interruption: Interruption | undefined;
  /** The frame that is shown. */
  #showing: ScheduledFrame | undefined;
  #phase: number | undefined;
  #suspendedAtMs: number | undefined;
  /** Time span in which the previous host plays on, monotonic ms. */
  #playedOn: { readonly fromMs: number; readonly untilMs: number } | undefined;
  #closed = false;
  /** What was sent, once somebody asks. */
  #history: PlayedHistory | undefined;

  constructor(options: SessionPlayerOptions) {
    this.#options = options;
    this.#viewers = new ViewerFanout(options);
    const { encoder, cutPolicy, crossfadeSamples, pauseSamples, nextIdle, isIdleReady } = options;
    const { onStarted, onFinished, onHeld, onWaiting } = options;
    // The packet for a position holds the audio from there on only if the encoder is fed its look-ahead more.
    this.#playout = new Playout(encoder.lookaheadSamples - BLOCK_SAMPLES, {
      cutPolicy,
      crossfadeSamples,
      pauseSamples,
      nextIdle,
      isIdleReady,
      onStarted,
      onFinished,
      onHeld,
      onWaiting,
    });
  }

  get viewerCount(): number {
    return this.#viewers.count;
  }

  /** @returns What each viewer is sent, by the id given to {@link addViewer}. */
  sending(): ReadonlyMap<string, Sending> {
    return this.#viewers.sending(this.#options.clock.nowMs());
  }

  get underruns(): number {
    return this.#playout.underruns;
  }

  get holding(): boolean {
    return this.#playout.holding;
  }

  /** Starts the timeline: its position is zero at the session's next phase. */
  start(): void {
    if (this.#timeline || this.#closed) return;
    const { clock, scheduler, stagger } = this.#options;
    const nowMs = clock.nowMs();
    const { delayMs, phase } = stagger.take(nowMs);
    this.#phase = phase;
    const anchorMs = nowMs + delayMs;
    this.#timeline = Timeline.anchoredAt(anchorMs, clock);
    if (this.#playedOn) {
      const { fromMs, untilMs } = this.#playedOn;
      this.#playout.playedOn(msToSamples(Math.max(0, Math.min(anchorMs, untilMs) - fromMs)));
    }
    // The first block only primes the encoder's look-ahead; its packet would belong before the anchor.
    this.#decide();
    if (this.#suspendedAtMs === undefined) this.#cancel = scheduler.add(this, this.#timeline.dueMs(0));
  }

  /** Starts sending to a connected viewer, at once and from the start of the current GOP. */
  addViewer(id: string, codec: Codec, sink: PlayoutSink): void {
    const nowMs = this.#options.clock.nowMs();
    this.#viewers.add(id, codec, sink, this.#timeline && this.#showing, nowMs);
    if (this.#timeline && this.#suspendedAtMs === undefined) this.#viewers.pumpOne(id, nowMs);
  }

  removeViewer(id: string): void {
    this.#viewers.remove(id);
  }

  /** Serves a viewer's keyframe request. */
  recover(id: string): void {
    const nowMs = this.#options.clock.nowMs();
    this.#viewers.recover(id, this.#showing, nowMs);
    if (this.#suspendedAtMs === undefined) this.#viewers.pumpOne(id, nowMs);
  }

  enqueue(item: QueueItem): void {
    this.#playout.enqueue(item);
  }

  /**
   * Continues from another host's position. Call it before {@link start}.
   * @param playedOn Time span in which that host plays on, monotonic ms; `undefined` if it has stopped.
   */
  resumeAt(resumption: Resumption, playedOn?: { fromMs: number; untilMs: number }): void {
    this.#playout.resumeAt(resumption);
    this.#playedOn = playedOn;
  }

  interrupt(throughSeq: number): void {
    const playhead = this.playhead();
    if (playhead && playhead.seq > 0 && playhead.seq <= throughSeq) this.#awaitInterruption(playhead.clip);
    this.#playout.interrupt(throughSeq, this.#positionNow());
  }

  /** Leaves the idle clip that plays for the next one, where the cut policy allows it. */
  changeIdle(): void {
    this.#playout.changeIdle();
  }

  /** Drops items that left the session's queue because their segment was deleted. */
  drop(isGone: (seq: number) => boolean): void {
    this.#playout.drop(isGone, this.#positionNow());
  }

  /** @returns What is played at this instant. */
  playhead(): Playhead | undefined {
    return this.#timeline ? this.#playout.playheadAt(this.#positionNow()) : undefined;
  }

  /** @returns Where another host would have to continue at this instant. */
  resumption(): Omit<Resumption, 'throughSeq'> | undefined {
    return this.#timeline ? this.#playout.resumptionAt(this.#positionNow()) : undefined;
  }

  /** @returns What was played at an instant of the last seconds, monotonic ms. */
  playedAt(atMs: number): Playhead | undefined {
    this.#history ??= new PlayedHistory();
    return this.#timeline && this.#history.at(this.#timeline.positionAt(atMs));
  }

  /** Whether playback waits for its media. */
  get waiting(): boolean {
    return this.#playout.waiting;
  }

  /** @returns Where idle would be left for speech that is queued now, and in how many ms. */
  nextCut(): { clip: Clip; frame: number; inMs: number } | undefined {
    const cut = this.#playout.nextCut();
    return (
      cut && { clip: cut.clip, frame: cut.frame, inMs: Math.max(0, samplesToMs(cut.atSamples - this.#positionNow())) }
    );
  }

  /** Stops sending until {@link resume}; playout waits. */
  suspend(): void {
    if (this.#suspendedAtMs !== undefined || this.#closed) return;
    this.#suspendedAtMs = this.#options.clock.nowMs();
    this.#cancel?.();
    this.#cancel = undefined;
  }

  resume(): void {
    if (this.#suspendedAtMs === undefined || this.#closed) return;
    this.#suspendedAtMs = undefined;
    if (!this.#timeline) return;
    const nowMs = this.#options.clock.nowMs();
    this.#skipTo(nowMs);
    this.#cancel = this.#options.scheduler.add(this, nowMs);
  }

  /**
   * Stops for good.
   * @param finish Whether queued and playing items are reported as finished.
   */
  close({ finish }: { finish: boolean }): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancel?.();
    if (this.#phase !== undefined) this.#options.stagger.release(this.#phase);
    this.#viewers.clear();
    this.#playout.close(this.#positionNow(), finish);
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
    if (nowMs - timeline.dueMs(this.#audioSamples) > MAX_BEHIND_MS) this.#skipTo(nowMs);
    // In order of position, so that a late packet is not overtaken by one of the other track.
    for (;;) {
      const frame = this.#playout.peekFrame();
      const audioDueMs = timeline.dueMs(this.#audioSamples);
      const frameDueMs = frame ? timeline.dueMs(frame.positionSamples) : Number.POSITIVE_INFINITY;
      const dueMs = Math.min(audioDueMs, frameDueMs);
      if (dueMs > nowMs) return this.#viewers.pump(nowMs, dueMs);
      // The lease may run out in the middle of a run: playout waits at the first packet that must not be sent.
      if (!this.#options.maySend()) return dueMs;
      if (frame && frameDueMs <= audioDueMs) this.#showFrame(frame, nowMs, nowMs - frameDueMs);
      else if (!this.#sendAudio(timeline, nowMs, nowMs - audioDueMs)) return dueMs;
    }
  }

  /** @returns `false` if no viewer's connection took the packet, so that it stays the next one. */
  #sendAudio(timeline: Timeline, nowMs: number, lateMs: number): boolean {
    this.#encodedAudio ??= this.#decide();
    const packet = new AudioPacket(this.#encodedAudio, this.#audioSamples, this.#lastAudio);
    if (!this.#viewers.sendAudio(packet, timeline, nowMs)) return false;
    this.#encodedAudio = undefined;
    const played = this.#history && this.#playout.playheadAt(this.#audioSamples);
    if (played) this.#history?.add(this.#audioSamples, played);
    this.#lastAudio = packet;
    this.#audioSamples += BLOCK_SAMPLES;
    this.#audioLateMs = lateMs;
    this.#options.metrics.late('audio', lateMs);
    this.#interruption?.audioSent(this.#audioSamples, nowMs);
    return true;
  }

  #showFrame(frame: ScheduledFrame, nowMs: number, lateMs: number): void {
    this.#playout.takeFrame();
    this.#showing = frame;
    this.#viewers.show(frame, nowMs);
    const { metrics } = this.#options;
    metrics.late('video', lateMs);
    metrics.frameSent(lateMs - this.#audioLateMs);
    if (this.#interruption) this.#watchInterruption(this.#interruption, frame.clip);
  }

  /** Repeated calls for the same clip have no effect. */
  #awaitInterruption(clip: Clip): void {
    if (this.#interruption?.clip === clip) return;
    const { clock, crossfadeSamples, metrics } = this.#options;
    const silentSamples = this.#playout.decidedSamples + crossfadeSamples;
    this.#interruption = new Interruption(clip, clock.nowMs(), silentSamples, (track, afterMs) =>
      metrics.interrupted(track, afterMs),
    );
  }

  #watchInterruption(interruption: Interruption, shown: Clip): void {
    interruption.frameSent(shown, this.#options.clock.nowMs());
    if (interruption.over) this.#interruption = undefined;
  }

  #decide(): Buffer {
    const hasAudio = this.#playout.next(this.#block);
    return this.#options.encoder.encode(this.#block, hasAudio);
  }

  /** Skips time in which nothing was sent; playout does not advance. */
  #skipTo(nowMs: number): void {
    const behindMs = this.#timeline ? nowMs - this.#timeline.dueMs(this.#audioSamples) : 0;
    const blocks = Math.floor(behindMs / samplesToMs(BLOCK_SAMPLES));
    if (blocks <= 0) return;
    this.#playout.skip(blocks);
    this.#audioSamples += blocks * BLOCK_SAMPLES;
    this.#options.metrics.skipped(blocks * samplesToMs(BLOCK_SAMPLES));
  }

  /** @returns The position by the clock, but never beyond what has been sent, because another host would continue there. */
  #positionNow(): number {
    const nowMs = this.#suspendedAtMs ?? this.#options.clock.nowMs();
    return this.#timeline ? Math.min(this.#timeline.positionAt(nowMs), this.#audioSamples) : 0;
  }
}
