import { type Codec, type CutPolicy, type FinishReason } from '@humancast/protocol';
import { type Clock, msToSamples, PCM_RATE, samplesToMs } from '@humancast/shared';
import type { Clip } from './clip.js';
import { Gain } from './gain.js';
import { Interruption } from './interruption.js';
import { PlayedAudio } from './played-audio.js';
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
import type { Scheduler } from './scheduler.js';
import type { Stagger } from './stagger.js';
import { STAND_IN_SAMPLES } from './stand-in.js';
import { Timeline } from './timeline.js';
import { type TimelineMetrics, TimelineSender } from './timeline-sender.js';
import { type PlayoutSink, type Sending, ViewerFanout, type ViewerFanoutOptions } from './viewer-fanout.js';

/** Steps of 20 ms that are decided ahead while followers play the same, so that they get them in time. */
const LEAD_BLOCKS = 4;

export interface AudioEncoder {
  readonly lookaheadSamples: number;
  encode(pcm: Int16Array, hasAudio: boolean): Buffer;
}

/** Metrics of playout; each call is on the path of a packet. */
export interface PlayoutMetrics extends TimelineMetrics {
  /** A barge-in took effect on a track, this long after it was accepted. */
  interrupted(track: 'audio' | 'video', afterMs: number): void;
}

/** 20 ms of both tracks, as decided. */
export interface DecidedStep {
  /** Timeline position of the audio packet. */
  readonly audioSamples: number;
  readonly opus: Buffer;
  /** Frames that were scheduled in this step. */
  readonly frames: readonly ScheduledFrame[];
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

/** Decides a session's playout and plays it to its viewers. Audio is encoded once for all of them. */
export class SessionPlayer {
  readonly #options: SessionPlayerOptions;
  readonly #playout: Playout;
  readonly #viewers: ViewerFanout;
  readonly #block = new Int16Array(BLOCK_PCM);
  readonly #sender: TimelineSender;
  /** Audio that was decided ahead, in order. */
  readonly #ahead: Buffer[] = [];
  /** Timeline position of the audio packet that is decided next. */
  #undecidedSamples = 0;
  #onDecided: ((step: DecidedStep) => void) | undefined;
  #isFollowed = () => false;
  #interruption: Interruption | undefined;
  #phase: number | undefined;
  /** Time span in which the previous host plays on, monotonic ms. */
  #playedOn: { readonly fromMs: number; readonly untilMs: number } | undefined;
  #closed = false;
  /** The positions that were sent; created by the first reader. */
  #history: PlayedHistory | undefined;
  /** The spectrum of what was decided, once somebody asks. */
  #audio: PlayedAudio | undefined;
  readonly #gain = new Gain();

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
    this.#sender = new TimelineSender({
      ...options,
      viewers: this.#viewers,
      source: {
        peekFrame: () => this.#playout.peekFrame(),
        takeFrame: () => this.#playout.takeFrame(),
        nextAudio: () => this.#nextAudio(),
        skip: (blocks) => this.#skip(blocks),
      },
      onAudioSent: (toSamples, nowMs) => this.#audioSent(toSamples, nowMs),
      onFrameShown: ({ clip }, nowMs) => this.#watchInterruption(clip, nowMs),
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

  /** The next queued clips, and where they are entered. */
  get upcoming(): { segment: string; seq: number; positionSamples: number }[] {
    return this.#playout.upcoming;
  }

  get holding(): boolean {
    return this.#playout.holding;
  }

  get timeline(): Timeline | undefined {
    return this.#sender.timeline;
  }

  /**
   * Starts playing, at the session's next phase.
   * @param continued The timeline of the previous host, if viewers of other media-senders are on it, and the position from
   * which it has decided nothing; followers have gone on from there by themselves. Default: a new timeline, whose position
   * is zero then.
   */
  start(continued?: { readonly timeline: Timeline; readonly fromSamples: number }): void {
    if (this.#sender.timeline || this.#closed) return;
    const { clock, stagger } = this.#options;
    const nowMs = clock.nowMs();
    const timeline = continued?.timeline ?? this.#newTimeline(nowMs, stagger);
    const audioSamples = continued ? blockAtOrAfter(Math.max(timeline.positionAt(nowMs), continued.fromSamples)) : 0;
    this.#playout.startAt(audioSamples, continued !== undefined);
    if (continued) this.#playout.playedOn(Math.min(audioSamples - continued.fromSamples, STAND_IN_SAMPLES));
    this.#undecidedSamples = audioSamples;
    if (this.#playedOn) {
      const { fromMs, untilMs } = this.#playedOn;
      const startMs = timeline.dueMs(audioSamples);
      this.#playout.playedOn(msToSamples(Math.max(0, Math.min(startMs, untilMs) - fromMs)));
    }
    // The first block only primes the encoder's look-ahead; its packet would belong before the start.
    this.#encode();
    this.#sender.start(timeline, audioSamples);
  }

  #newTimeline(nowMs: number, stagger: Stagger): Timeline {
    const { delayMs, phase } = stagger.take(nowMs);
    this.#phase = phase;
    return Timeline.anchoredAt(nowMs + delayMs, this.#options.clock);
  }

  /**
   * Decides 80 ms ahead from now on and passes on what is decided, so that followers can play the same at the same time. A
   * barge-in takes effect after what has been passed on. `undefined` stops it.
   */
  follow(onDecided: ((step: DecidedStep) => void) | undefined, isFollowed = () => true): void {
    this.#onDecided = onDecided;
    this.#isFollowed = isFollowed;
  }

  /** Decides this far ahead at once, because another host takes over and must not be late for the followers. */
  decideAhead(ms: number): void {
    if (!this.timeline) return;
    const blocks = Math.ceil(msToSamples(ms) / BLOCK_SAMPLES);
    while (this.#ahead.length < blocks) this.#ahead.push(this.#decide());
  }

  /** @returns Where another host would have to continue after what has been decided. */
  get decidedResumption(): Omit<Resumption, 'throughSeq'> | undefined {
    return this.timeline && this.#playout.resumptionAt(this.#undecidedSamples);
  }

  /** Starts sending to a connected viewer, at once and from the start of the current GOP. */
  addViewer(id: string, codec: Codec, sink: PlayoutSink): void {
    this.#sender.addViewer(id, codec, sink);
  }

  removeViewer(id: string): void {
    this.#viewers.remove(id);
  }

  /** Serves a viewer's keyframe request. */
  recover(id: string): void {
    this.#sender.recover(id);
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

  /** Whether the media is in memory to continue at once from another host's position. */
  get canResume(): boolean {
    return this.#playout.canResume;
  }

  interrupt(throughSeq: number): void {
    const playhead = this.playhead();
    if (playhead && playhead.seq > 0 && playhead.seq <= throughSeq) this.#awaitInterruption(playhead.clip);
    this.#playout.interrupt(throughSeq, this.#sentSamples());
  }

  /** Leaves the idle clip that plays for the next one, where the cut policy allows it. */
  changeIdle(): void {
    this.#playout.changeIdle();
  }

  /** Drops items that left the session's queue because their segment was deleted. */
  drop(isGone: (seq: number) => boolean): void {
    this.#playout.drop(isGone, this.#sentSamples());
  }

  /** @returns What is played at this instant. */
  playhead(): Playhead | undefined {
    return this.timeline && this.#playout.playheadAt(this.#sender.positionNow());
  }

  /** @returns Where another host would have to continue at this instant. */
  resumption(): Omit<Resumption, 'throughSeq'> | undefined {
    return this.timeline && this.#playout.resumptionAt(this.#sender.positionNow());
  }

  /** @returns What was played at an instant of the last seconds, monotonic ms. */
  playedAt(atMs: number): Playhead | undefined {
    this.#history ??= new PlayedHistory();
    return this.timeline && this.#history.at(this.timeline.positionAt(atMs));
  }

  /** Writes the largest power of each band that was due between two instants, monotonic ms; from the first call on. */
  loudest(fromMs: number, toMs: number, out: Float64Array): void {
    this.#audio ??= new PlayedAudio();
    if (this.timeline) this.#audio.loudest(this.timeline.positionAt(fromMs), this.timeline.positionAt(toMs), out);
    else out.fill(0);
  }

  /** Changes the loudness, by a ramp, from the first position on that is not yet decided. */
  setGain(gain: number, rampMs: number): void {
    this.#gain.set(gain, (rampMs * PCM_RATE) / 1000);
  }

  /** Whether there is speech: it plays, waits for its media, or is queued. */
  get hasSpeech(): boolean {
    return this.waiting || this.#playout.upcoming.length > 0 || (this.playhead()?.seq ?? 0) > 0;
  }

  /** Whether playback waits for its media. */
  get waiting(): boolean {
    return this.#playout.waiting;
  }

  /** @returns Where idle would be left for speech that is queued now, and in how many ms. */
  nextCut(): { clip: Clip; frame: number; inMs: number } | undefined {
    const cut = this.#playout.nextCut();
    if (!cut) return undefined;
    const inMs = Math.max(0, samplesToMs(cut.atSamples - this.#sender.positionNow()));
    return { clip: cut.clip, frame: cut.frame, inMs };
  }

  /** Stops sending until {@link resume}; playout waits. */
  suspend(): void {
    this.#sender.suspend();
  }

  resume(): void {
    this.#sender.resume();
  }

  /**
   * Stops for good.
   * @param finish Whether queued and playing items are reported as finished.
   */
  close({ finish }: { finish: boolean }): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sender.close();
    if (this.#phase !== undefined) this.#options.stagger.release(this.#phase);
    this.#viewers.clear();
    this.#playout.close(this.#sender.positionNow(), finish);
  }

  #audioSent(toSamples: number, nowMs: number): void {
    const fromSamples = toSamples - BLOCK_SAMPLES;
    const played = this.#history && this.#playout.playheadAt(fromSamples);
    if (played) this.#history?.add(fromSamples, played);
    this.#interruption?.audioSent(toSamples, nowMs);
  }

  #nextAudio(): Buffer {
    const audio = this.#ahead.shift() ?? this.#decide();
    while (this.#onDecided && this.#ahead.length < LEAD_BLOCKS) this.#ahead.push(this.#decide());
    return audio;
  }

  #decide(): Buffer {
    const scheduled = this.#playout.scheduled.length;
    const opus = this.#encode();
    const audioSamples = this.#undecidedSamples;
    this.#undecidedSamples += BLOCK_SAMPLES;
    this.#onDecided?.({ audioSamples, opus, frames: this.#playout.scheduled.slice(scheduled) });
    return opus;
  }

  #encode(): Buffer {
    const hasAudio = this.#playout.next(this.#block);
    this.#gain.apply(this.#block);
    this.#audio?.add(this.#playout.decidedSamples - BLOCK_SAMPLES, this.#block, hasAudio);
    return this.#options.encoder.encode(this.#block, hasAudio);
  }

  /**
   * Decisions made ahead count as played, because followers have played them, and so does what they have gone on with by
   * themselves. Playout waits for the rest of the time.
   */
  #skip(blocks: number): void {
    const skipped = blocks - this.#ahead.splice(0, blocks).length;
    const playedOn = this.#onDecided && this.#isFollowed() ? Math.min(skipped, STAND_IN_SAMPLES / BLOCK_SAMPLES) : 0;
    for (let i = 0; i < playedOn; i++) this.#playout.next(this.#block);
    this.#playout.skip(skipped - playedOn);
    this.#undecidedSamples += skipped * BLOCK_SAMPLES;
    if (playedOn === 0) return;
    for (let frame = this.#playout.peekFrame(); frame; frame = this.#playout.peekFrame()) {
      if (frame.positionSamples >= this.#undecidedSamples - BLOCK_SAMPLES) return;
      this.#playout.takeFrame();
    }
  }

  /** @returns The position up to which frames have been sent; everything decided, if followers have it. */
  #sentSamples(): number {
    return this.#onDecided ? Number.POSITIVE_INFINITY : this.#sender.positionNow();
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

  #watchInterruption(shown: Clip, nowMs: number): void {
    this.#interruption?.frameSent(shown, nowMs);
    if (this.#interruption?.over) this.#interruption = undefined;
  }
}

/** @returns The first position at or after this one that is a whole number of audio packets from zero. */
export function blockAtOrAfter(positionSamples: number): number {
  return Math.ceil(positionSamples / BLOCK_SAMPLES) * BLOCK_SAMPLES;
}
