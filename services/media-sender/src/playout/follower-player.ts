import type { Codec } from '@humancast/protocol';
import { CLOCK_RATE, type Clock, type Decisions } from '@humancast/shared';
import type { Clip } from './clip.js';
import { BLOCK_SAMPLES, type ScheduledFrame } from './playout.js';
import type { Scheduler } from './scheduler.js';
import { blockAtOrAfter } from './session-player.js';
import { STAND_IN_SAMPLES, StandIn, type StandInOptions } from './stand-in.js';
import { frameOffsetSamples, frameTicks, Timeline } from './timeline.js';
import { type TimelineMetrics, TimelineSender } from './timeline-sender.js';
import { type PlayoutSink, type Sending, ViewerFanout, type ViewerFanoutOptions } from './viewer-fanout.js';

const SAMPLES_PER_MS = CLOCK_RATE / 1000;
/** Bounds of what is kept of the host's decisions. */
const AUDIO_LIMIT = 256;
const RUN_LIMIT = 512;
/** Clips that are opened before their turn. */
const PREPARED_LIMIT = 4;
/** Lateness above which a frame is skipped if a later one is due, too. */
const SKIP_AFTER_SAMPLES = 0.3 * CLOCK_RATE;
/** How far the clip is fetched ahead of the frame that is shown. */
const LEAD_SAMPLES = 0.1 * CLOCK_RATE;
/** Largest correction of the timeline per entry, ms: clocks drift apart, and no viewer may notice that it is corrected. */
const MAX_STEP_MS = 0.2;
/** A host whose timeline differs by more than this has begun a new one. */
const NEW_TIMELINE_MS = 100;

export interface FollowerMetrics extends TimelineMetrics {
  /** @param skewMs How much later than at the host everything is sent here, by the clock of Redis. */
  followed(skewMs: number): void;
  /** The host's decision for an audio packet was not here in time. */
  missed(): void;
}

export interface FollowerPlayerOptions extends ViewerFanoutOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly metrics: FollowerMetrics;
  readonly maySend: () => boolean;
  /** Opus packet of 20 ms of silence. */
  readonly silence: Buffer;
  /** @returns The options of the stand-in that decides while the host is silent. @param segment the clip that plays. */
  readonly standIn: (segment: string) => Omit<StandInOptions, 'onLeft'>;
  /** Opens a clip. @returns `undefined` if there is no such segment. */
  readonly openClip: (segment: string) => Promise<Clip | undefined>;
  readonly onFault: (error: unknown) => void;
}

type FrameRun = Decisions['frames'][number];

/** A clip that is being opened (`undefined`), is open, or cannot be opened (`null`). */
interface Opening {
  clip: Clip | undefined | null;
  isReleased: boolean;
}

/**
 * Plays what a session's host has decided: the same frames and audio packets at the same instants. While the host is silent,
 * as when it was killed, it goes on by itself for some seconds, as every follower does; after that, it shows the last frame in
 * silence.
 */
export class FollowerPlayer {
  readonly #options: FollowerPlayerOptions;
  readonly #viewers: ViewerFanout;
  readonly #sender: TimelineSender;
  readonly #audio: { readonly samples: number; readonly opus: Buffer }[] = [];
  readonly #runs: FrameRun[] = [];
  /** The first frame of the first run, once its clip is open. */
  #frame: ScheduledFrame | undefined;
  /** Clips by entry. */
  readonly #clips = new Map<number, Opening>();
  /** Clips of a previous host's entries. */
  #stale: Opening[] = [];
  /** Clips that are opened before their turn, by segment. */
  readonly #prepared = new Map<string, Opening>();
  /** The end position of each of the host's entries that has not been played. */
  #ends: End[] = [];
  #standIn: StandIn | undefined;
  /** Position from which the stand-in decides. */
  #standInSamples = 0;
  /** Frames that the stand-in has decided. */
  #ownFrames: ScheduledFrame[] = [];
  /** Clips that are released once neither the stand-in nor one of these frames needs them. */
  #left: Clip[] = [];
  /** Position of the last frame that was shown. */
  #shownSamples = Number.NEGATIVE_INFINITY;
  #epoch = 0;
  /** Positions here minus positions of the host. */
  #shiftSamples = 0;
  #isClosed = false;

  constructor(options: FollowerPlayerOptions) {
    this.#options = options;
    this.#viewers = new ViewerFanout(options);
    this.#sender = new TimelineSender({
      ...options,
      viewers: this.#viewers,
      source: {
        peekFrame: () => this.#peekFrame(),
        takeFrame: () => this.#takeFrame(),
        nextAudio: (positionSamples) => this.#nextAudio(positionSamples),
        skip: () => {},
      },
    });
  }

  get viewerCount(): number {
    return this.#viewers.count;
  }

  /** The epoch of the host that is followed; 0 before its first decision. */
  get epoch(): number {
    return this.#epoch;
  }

  /** @returns What each viewer is sent, by the id given to {@link addViewer}. */
  sending(): ReadonlyMap<string, Sending> {
    return this.#viewers.sending(this.#options.clock.nowMs());
  }

  /**
   * Takes over decisions. Those of an earlier epoch, or that are known, are ignored.
   * @param clockOffsetMs The clock of Redis minus the monotonic clock.
   */
  accept(decisions: Decisions, clockOffsetMs: number): void {
    if (this.#isClosed || decisions.epoch < this.#epoch) return;
    const anchorMs = decisions.anchorMs - clockOffsetMs;
    this.#follow(anchorMs, decisions);
    const shift = this.#shiftSamples;
    let samples = decisions.audioSamples + shift;
    for (const opus of decisions.opus) {
      if (samples > (this.#audio.at(-1)?.samples ?? -1)) this.#audio.push({ samples, opus });
      samples += BLOCK_SAMPLES;
    }
    this.#audio.splice(0, this.#audio.length - AUDIO_LIMIT);
    this.#ends.push({ samples, decisions });
    this.#ends.splice(0, this.#ends.length - AUDIO_LIMIT);
    for (const run of decisions.frames) {
      this.#runs.push({ ...run, startSamples: run.startSamples + shift });
      this.#clipOf(run);
    }
    if (this.#runs.length > RUN_LIMIT) this.#dropRuns(this.#runs.length - RUN_LIMIT);
    const { after, next } = decisions;
    // A clip may have been entered of which no frame has come yet.
    const isEntered = after && !this.#openClipOf(after.segment, { prepared: false });
    this.#prepare(isEntered ? [after, ...next] : next);
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

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#sender.close();
    this.#dismiss();
    this.#viewers.clear();
    this.#runs.length = 0;
    this.#ownFrames = [];
    for (const opening of [...this.#stale, ...this.#clips.values(), ...this.#prepared.values()]) this.#release(opening);
    this.#clips.clear();
    this.#prepared.clear();
    this.#releaseLeft();
  }

  /** Starts the timeline, or corrects it: the host's has drifted against it, or a new host has begun another one. */
  #follow(hostAnchorMs: number, { epoch }: Decisions): void {
    const { clock, metrics } = this.#options;
    const { timeline } = this.#sender;
    if (!timeline) {
      const nowMs = clock.nowMs();
      this.#epoch = epoch;
      const started = new Timeline(hostAnchorMs, clock.wallMs() + (hostAnchorMs - nowMs));
      this.#sender.start(started, blockAtOrAfter(Math.max(started.positionAt(nowMs), 0)));
      return;
    }
    if (epoch > this.#epoch) this.#followNewHost(timeline, hostAnchorMs, epoch);
    const behindMs = hostAnchorMs - this.#shiftSamples / SAMPLES_PER_MS - timeline.anchorMs;
    metrics.followed(-behindMs);
    this.#sender.adjust(timeline.movedBy(Math.max(-MAX_STEP_MS, Math.min(MAX_STEP_MS, behindMs))));
  }

  /** Viewers stay on their timeline, whatever the new host has begun; its positions are converted. */
  #followNewHost(timeline: Timeline, hostAnchorMs: number, epoch: number): void {
    this.#epoch = epoch;
    this.#audio.length = 0;
    this.#dropRuns(this.#runs.length);
    // The frame that is shown is one of theirs.
    this.#stale.push(...this.#clips.values());
    this.#clips.clear();
    const behindMs = hostAnchorMs - this.#shiftSamples / SAMPLES_PER_MS - timeline.anchorMs;
    if (Math.abs(behindMs) < NEW_TIMELINE_MS) return;
    const blocks = Math.round(((hostAnchorMs - timeline.anchorMs) * SAMPLES_PER_MS) / BLOCK_SAMPLES);
    this.#shiftSamples = blocks * BLOCK_SAMPLES;
    this.#dismiss();
    this.#ownFrames = [];
    this.#shownSamples = Number.NEGATIVE_INFINITY;
  }

  #nextAudio(positionSamples: number): Buffer {
    while (this.#audio[0] && this.#audio[0].samples < positionSamples) this.#audio.shift();
    if (this.#audio[0]?.samples === positionSamples) {
      this.#dismiss();
      return this.#audio.shift()?.opus ?? this.#options.silence;
    }
    this.#options.metrics.missed();
    return this.#decideOwn(positionSamples) ?? this.#options.silence;
  }

  /** Decides in place of the host, from where its decisions end. @returns `undefined` if that is not possible any more. */
  #decideOwn(positionSamples: number): Buffer | undefined {
    while (this.#ends[0] && this.#ends[0].samples < positionSamples) this.#ends.shift();
    const [end] = this.#ends;
    if (!this.#standIn && end?.samples === positionSamples) this.#standIn = this.#newStandIn(end);
    if (positionSamples - this.#standInSamples > STAND_IN_SAMPLES) this.#dismiss();
    if (!this.#standIn) return undefined;
    const { opus, frames } = this.#standIn.next();
    this.#ownFrames.push(...frames);
    return opus;
  }

  /** @returns `undefined` if what is to be continued is not in memory. */
  #newStandIn({ samples, decisions: { after, next } }: End): StandIn | undefined {
    const clip = after && this.#openClipOf(after.segment);
    if (!after || !clip) return undefined;
    const upcoming = next.flatMap(({ segment, seq }) => {
      const queued = seq > 0 ? this.#prepared.get(segment)?.clip : undefined;
      return queued ? [{ seq, clip: queued }] : [];
    });
    this.#standInSamples = samples;
    const options = { ...this.#options.standIn(after.segment), onLeft: (left: Clip) => void this.#left.push(left) };
    return new StandIn(options, { ...after, clip }, samples, upcoming);
  }

  /** @returns The clip of a segment that is played, or comes next, if it is open. */
  #openClipOf(segment: string, { prepared = true } = {}): Clip | undefined {
    const opened = [...this.#clips.values()].reverse().flatMap(({ clip }) => clip ?? []);
    const played = opened.find((clip) => clip.segment === segment);
    return played ?? (prepared ? (this.#prepared.get(segment)?.clip ?? undefined) : undefined);
  }

  /** The host decides again. */
  #dismiss(): void {
    this.#standIn?.close();
    this.#standIn = undefined;
  }

  #release(opening: Opening): void {
    opening.isReleased = true;
    if (!opening.clip) return;
    this.#left.push(opening.clip);
    this.#releaseLeft();
  }

  #releaseLeft(): void {
    if (this.#standIn) return;
    const needed = new Set(this.#ownFrames.map(({ clip }) => clip));
    for (const clip of this.#left) if (!needed.has(clip)) clip.release();
    this.#left = this.#left.filter((clip) => needed.has(clip));
  }

  #peekFrame(): ScheduledFrame | undefined {
    const nowSamples = this.#sender.timeline?.positionAt(this.#options.clock.nowMs()) ?? 0;
    for (let frame = this.#firstFrame(); frame; frame = this.#firstFrame()) {
      const next = this.#secondPosition(frame);
      if (frame.positionSamples > nowSamples - SKIP_AFTER_SAMPLES || next === undefined || next > nowSamples) {
        return this.#isAwaited(frame, nowSamples) ? undefined : frame;
      }
      this.#drop(frame);
    }
    return undefined;
  }

  #takeFrame(): ScheduledFrame | undefined {
    const frame = this.#firstFrame();
    if (!frame) return undefined;
    this.#shownSamples = frame.positionSamples;
    const entry = frame === this.#ownFrames[0] ? undefined : this.#runs[0]?.entry;
    this.#drop(frame);
    if (this.#left.length > 0) this.#releaseLeft();
    if (entry === undefined) return frame; // the stand-in follows its clips itself
    for (const opening of this.#stale.splice(0)) this.#release(opening);
    for (const [other, opening] of this.#clips) {
      if (other >= entry) continue;
      this.#release(opening);
      this.#clips.delete(other);
    }
    frame.clip.follow(Math.min(frame.positionSamples - frame.startSamples + LEAD_SAMPLES, frame.clip.durationSamples));
    return frame;
  }

  /** @returns The first frame that is to be shown: the host's, or the stand-in's for a time without decisions. */
  #firstFrame(): ScheduledFrame | undefined {
    while (this.#ownFrames[0] && this.#ownFrames[0].positionSamples <= this.#shownSamples) this.#ownFrames.shift();
    const [own] = this.#ownFrames;
    const hosts = this.#firstOfHost();
    return own && (!hosts || own.positionSamples < hosts.positionSamples) ? own : hosts;
  }

  /** @returns The host's first frame, if its clip is open. Frames of clips that cannot be opened are dropped. */
  #firstOfHost(): ScheduledFrame | undefined {
    while (!this.#frame) {
      const [run] = this.#runs;
      if (!run) return undefined;
      const { clip } = this.#clipOf(run);
      if (clip === undefined) return undefined;
      if (!clip) {
        this.#runs.shift();
        continue;
      }
      const frame = frameOf(run, clip, 0);
      this.#frame = frame;
      // The stand-in may have shown it.
      if (frame.positionSamples <= this.#shownSamples) this.#advance();
    }
    return this.#frame;
  }

  /** Whether a frame can still come into memory in time. */
  #isAwaited({ clip, startSamples, positionSamples }: ScheduledFrame, nowSamples: number): boolean {
    const at = positionSamples - startSamples;
    return nowSamples - positionSamples < SKIP_AFTER_SAMPLES && clip.availability(at, at + 1) === 'late';
  }

  /** @returns The position of the frame after the first one, if it is known. */
  #secondPosition(frame: ScheduledFrame): number | undefined {
    const [own, nextOwn] = this.#ownFrames;
    if (frame === own) return nextOwn?.positionSamples ?? this.#frame?.positionSamples;
    const { clip } = frame;
    const [run, other] = this.#runs;
    if (!run) return undefined;
    if (run.count > 1) return frameOf(run, clip, 1).positionSamples;
    const next = other && this.#clipOf(other).clip;
    return other && next ? frameOf(other, next, 0).positionSamples : undefined;
  }

  #drop(frame: ScheduledFrame): void {
    if (frame === this.#ownFrames[0]) this.#ownFrames.shift();
    else this.#advance();
  }

  #advance(): void {
    this.#frame = undefined;
    const run = this.#runs[0];
    if (!run) return;
    if (run.count > 1) this.#runs[0] = { ...run, first: run.first + 1, count: run.count - 1 };
    else this.#runs.shift();
  }

  #dropRuns(count: number): void {
    this.#frame = undefined;
    this.#runs.splice(0, count);
  }

  #clipOf(run: FrameRun): Opening {
    let opening = this.#clips.get(run.entry);
    if (!opening) {
      const prepared = this.#prepared.get(run.segment);
      this.#prepared.delete(run.segment);
      opening = prepared ?? this.#open(run.segment, ({ fps }) => frameOffsetSamples(run.first, fps));
      this.#clips.set(run.entry, opening);
    }
    return opening;
  }

  #prepare(next: Decisions['next']): void {
    for (const { segment, positionSamples } of next.slice(0, PREPARED_LIMIT)) {
      const prepared = this.#prepared.get(segment);
      if (prepared) prepared.clip?.follow(positionSamples);
      else
        this.#prepared.set(
          segment,
          this.#open(segment, () => positionSamples),
        );
    }
    for (const [segment, opening] of this.#prepared) {
      if (next.some((other) => other.segment === segment)) continue;
      this.#prepared.delete(segment);
      this.#release(opening);
    }
  }

  /** @param positionOf Returns the position from which the clip is fetched. */
  #open(segment: string, positionOf: (clip: Clip) => number): Opening {
    const opening: Opening = { clip: undefined, isReleased: false };
    void this.#options.openClip(segment).then((clip) => {
      if (opening.isReleased) clip?.release();
      else clip?.follow(Math.min(positionOf(clip), clip.durationSamples));
      opening.clip = clip ?? null;
    });
    return opening;
  }
}

/** The last decisions, and the timeline position of the first audio packet after them. */
interface End {
  readonly samples: number;
  readonly decisions: Decisions;
}

function frameOf({ startSamples, first }: FrameRun, clip: Clip, offset: number): ScheduledFrame {
  const frame = first + offset;
  return {
    clip,
    frame,
    startSamples,
    positionSamples: startSamples + frameOffsetSamples(frame, clip.fps),
    ticks: frameTicks(startSamples, frame, clip.fps),
  };
}
