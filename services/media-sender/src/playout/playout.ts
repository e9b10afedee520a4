import { type CutPolicy, type FinishReason } from '@humancast/protocol';
import { CLOCK_PER_PCM, CLOCK_RATE } from '@humancast/shared';
import type { Clip } from './clip.js';
import { fadeIn, largestStep, mixFadeOut } from './fade.js';
import { frameAtOrAfter, frameOffsetSamples, frameTicks } from './timeline.js';

/** Media-clock samples of one audio packet, 20 ms; the step in which playout is decided. */
export const BLOCK_SAMPLES = 960;
export const BLOCK_PCM = BLOCK_SAMPLES / CLOCK_PER_PCM;

export interface QueueItem {
  readonly seq: number;
  readonly clip: Clip;
}

/** A frame at its position on the timeline. */
export interface ScheduledFrame {
  readonly clip: Clip;
  readonly frame: number;
  /** Timeline position of the clip's start. */
  readonly startSamples: number;
  /** Due time of the frame, fractional media-clock samples. */
  readonly positionSamples: number;
  /** RTP timestamp, 90 kHz ticks. */
  readonly ticks: number;
}

/** A clip while it is on the timeline. */
interface Entry {
  readonly clip: Clip;
  readonly item: QueueItem | undefined;
  /** Timeline position of the clip's start; grows while playout holds. */
  startSamples: number;
  /** Clip position at which it was entered: 0, or where it is resumed. */
  readonly enteredAt: number;
  nextFrame: number;
  /** Timeline position at which the clip is left before its end, once decided. */
  cutSamples: number;
  /** Timeline position from which the clip is silent; at most `cutSamples`. */
  silentFrom: number;
  /** Why the clip is left. */
  cutReason: FinishReason;
  /** Timeline position at which its fade-in starts; -∞ for none. */
  fadeInFrom: number;
}

export interface PlayoutOptions {
  /** @returns The next idle clip that can be played at once, if any. Playout releases it. */
  nextIdle: () => Clip | undefined;
  /** Whether there is a next idle clip that can be played at once. */
  isIdleReady: () => boolean;
  cutPolicy: CutPolicy;
  /** Length of a fade, media-clock samples; even. */
  crossfadeSamples: number;
  /** Idle replaces an item that has held both tracks for longer than this, media-clock samples. */
  pauseSamples: number;
  onStarted: (item: QueueItem) => void;
  /** Called exactly once for each item. `positionSamples` is how much of it was played. */
  onFinished: (item: QueueItem, positionSamples: number, reason: FinishReason) => void;
  /** Called when playback continues after both tracks were held because media was late. */
  onHeld: (clip: Clip, heldSamples: number) => void;
  /** Called when an item begins to wait for its media, and when it no longer does. */
  onWaiting: (isWaiting: boolean) => void;
}

export interface Playhead {
  readonly clip: Clip;
  readonly seq: number;
  /** Media-clock samples from the clip's start. */
  readonly positionSamples: number;
}

/** The playback position of another host, from which this one continues. */
export interface Resumption {
  readonly segment: string;
  /** `seq` of the queued item; 0 for an idle clip. */
  readonly seq: number;
  /** Media-clock samples from the segment's start. */
  readonly positionSamples: number;
  /** Last `seq` of that host's queue; it may have played on this far. */
  readonly throughSeq: number;
}

/** Queued clips whose beginning is fetched before their turn. */
const PREFETCHED_ITEMS = 2;
/** Media that is in memory when another host is continued: as much as it may have played meanwhile. */
const RESUME_SAMPLES = CLOCK_RATE;
const NEVER = Number.POSITIVE_INFINITY;

/**
 * Decides what a session plays: queued clips, with idle clips between them. It is pure: its only time is the position up to
 * which it has decided (`decidedSamples`), and it is asked for another 20 ms whenever an audio packet is due. Both tracks
 * are decided in the same step, so they stay in sync: if one is late, both wait.
 */
export class Playout {
  readonly #options: PlayoutOptions;
  readonly #queue: QueueItem[] = [];
  readonly #frames: ScheduledFrame[] = [];
  /** Clips that were left and still have frames to be taken. */
  #left: Clip[] = [];
  #entry: Entry | undefined;
  /** The end of a clip that was cut off. From this position on it fades out under what follows. */
  readonly #tail: Int16Array;
  #tailSamples = NEVER;
  /** End of the last idle clip that was played to its end. */
  #echoSamples = NEVER;
  #decided: number;
  /** Timeline position before which nothing is played. */
  #firstSamples = 0;
  /** Timeline position at which a clip that is resumed has not been silent before. */
  #continuedSamples = NEVER;
  #heldSamples = 0;
  #underruns = 0;
  /** Every item up to this `seq` has been interrupted, including those that arrive later. */
  #interruptedSeq = 0;
  #resume: Resumption | undefined;
  /** Whether an item that was started waits for its media. */
  #itemWaits = false;
  /** Whether the idle clip that plays is left for the next one. */
  #idleChanges = false;
  /** Items up to this `seq` have been reported as started; resuming one does not report it again. */
  #startedSeq = 0;
  /** The idle clip to resume, until it has been entered. Without `segment` it is whichever comes next. */
  #resumeIdle: { segment: string | undefined; positionSamples: number } | undefined;

  /** @param firstSample Position of the first block: negative if the encoder looks ahead. Clips start at 0. */
  constructor(firstSample: number, options: PlayoutOptions) {
    this.#decided = firstSample;
    this.#options = options;
    this.#tail = new Int16Array(options.crossfadeSamples / CLOCK_PER_PCM);
  }

  /**
   * Starts at a later position than zero. Call it before {@link next}.
   * @param isContinued Whether what is resumed was played up to this position, so that nothing fades in.
   */
  startAt(positionSamples: number, isContinued = false): void {
    this.#decided += positionSamples;
    this.#firstSamples = positionSamples;
    this.#continuedSamples = isContinued ? positionSamples : NEVER;
  }

  /** The next queued clips, and where they are entered. */
  get upcoming(): { segment: string; seq: number; positionSamples: number }[] {
    return this.#queue.slice(0, PREFETCHED_ITEMS).map((item) => ({
      segment: item.clip.segment,
      seq: item.seq,
      positionSamples: this.#startOf(item).samples,
    }));
  }

  /** Frames that are decided and not taken yet, in order. */
  get scheduled(): readonly ScheduledFrame[] {
    return this.#frames;
  }

  /** Timeline position up to which both tracks are decided. */
  get decidedSamples(): number {
    return this.#decided;
  }

  get holding(): boolean {
    return this.#heldSamples > 0;
  }

  get underruns(): number {
    return this.#underruns;
  }

  playheadAt(positionSamples: number): Playhead | undefined {
    const entry = this.#entry;
    if (!entry) return undefined;
    const position = Math.min(
      Math.max(positionSamples - entry.startSamples, entry.enteredAt),
      entry.clip.durationSamples,
    );
    return { clip: entry.clip, seq: entry.item?.seq ?? 0, positionSamples: position };
  }

  /** Whether an item waits for its media, so that the playhead does not advance with the clock. */
  get waiting(): boolean {
    return this.holding || this.#resume !== undefined;
  }

  /** @returns Where another host would have to continue. An item that idle has replaced comes before the idle clip. */
  resumptionAt(positionSamples: number): Omit<Resumption, 'throughSeq'> | undefined {
    if (this.#resume) return this.#resume;
    const playhead = this.playheadAt(positionSamples);
    return playhead && { ...playhead, segment: playhead.clip.segment };
  }

  /** Plays an item in its turn, in the order of `seq`. An item that has already been interrupted is dropped at once. */
  enqueue(item: QueueItem): void {
    // Items come in order, so the item to be resumed is gone.
    if (this.#resume && item.seq > this.#resume.seq && !this.#queue.some(({ seq }) => seq === this.#resume?.seq)) {
      this.#resume = undefined;
    }
    if (item.seq <= this.#interruptedSeq) {
      this.#finish(item, 0, 'dropped');
      return;
    }
    const at = this.#queue.findIndex((other) => other.seq > item.seq);
    this.#queue.splice(at === -1 ? this.#queue.length : at, 0, item);
    this.#prefetch();
  }

  /**
   * Continues at the exact sample where another host was. A viewer's decoder catches up from the start of the GOP, as for
   * any viewer that joins.
   */
  resumeAt(resumption: Resumption): void {
    if (resumption.seq > 0) this.#resume = resumption;
    else this.#resumeIdle = resumption;
  }

  /**
   * Whether the media is in memory to continue at once where another host was, also if it has played on for a moment. It is
   * while nothing is to be resumed.
   */
  get canResume(): boolean {
    const resume = this.#resume;
    if (!resume) return true;
    const index = this.#queue.findIndex(({ seq }) => seq === resume.seq);
    if (index < 0) return false;
    return this.#queue.slice(index, index + PREFETCHED_ITEMS).every((item) => {
      const from = this.#startOf(item).samples;
      const wanted = Math.min(item.clip.durationSamples - from, RESUME_SAMPLES);
      return wanted <= 0 || item.clip.readySamples(from) >= wanted;
    });
  }

  /** Advances the position to resume, because the previous host has played on meanwhile. */
  playedOn(samples: number): void {
    if (this.#resume) this.#resume = { ...this.#resume, positionSamples: this.#resume.positionSamples + samples };
    if (this.#resumeIdle) this.#resumeIdle.positionSamples += samples;
  }

  /**
   * Barge-in: interrupts everything up to `throughSeq`. Its audio fades out from the first position that is not yet decided,
   * and its video is left at the next frame. Calling it again, or when nothing plays, has no effect.
   * @param sentSamples Timeline position up to which frames have been sent.
   */
  interrupt(throughSeq: number, sentSamples: number): void {
    this.#interruptedSeq = Math.max(this.#interruptedSeq, throughSeq);
    while (this.#queue[0] && this.#queue[0].seq <= throughSeq) {
      this.#drop(this.#queue.shift() as QueueItem);
    }
    if (this.#resume && this.#resume.seq <= throughSeq) this.#endWait();
    const entry = this.#entry;
    if (entry?.item && entry.item.seq <= throughSeq) this.#cut(entry, sentSamples);
  }

  /**
   * Drops items that left the session's queue because their segment was deleted. One that plays is left as in {@link
   * interrupt}.
   */
  drop(isGone: (seq: number) => boolean, sentSamples: number): void {
    for (const item of this.#queue.filter(({ seq }) => isGone(seq))) {
      this.#queue.splice(this.#queue.indexOf(item), 1);
      this.#drop(item);
      if (this.#resume?.seq === item.seq) this.#setWaiting(false);
    }
    const entry = this.#entry;
    if (entry?.item && isGone(entry.item.seq)) this.#cut(entry, sentSamples);
  }

  /** Leaves the idle clip that plays for the next one, where the cut policy allows it and once that is in memory. */
  changeIdle(): void {
    this.#idleChanges = true;
  }

  /** Leaves a clip at the next frame; its audio fades out from the first position that is not yet decided. */
  #cut(entry: Entry, sentSamples: number): void {
    if (entry.cutReason === 'interrupted') return;
    if (entry.startSamples + entry.clip.durationSamples <= this.#decided) return; // all of it is decided, so it counts as played
    entry.cutReason = 'interrupted';
    entry.silentFrom = this.#decided;
    entry.cutSamples = this.#revokeFrames(entry.clip, sentSamples) ? this.#decided : this.#nextBoundary(entry);
    // While held the clip is silent, so there is nothing to fade.
    if (this.#heldSamples === 0) this.#startTail(entry, this.#decided);
  }

  /** @returns The frame that is due next, without removing it. */
  peekFrame(): ScheduledFrame | undefined {
    return this.#frames[0];
  }

  takeFrame(): ScheduledFrame | undefined {
    const frame = this.#frames.shift();
    if (this.#left.length > 0) this.#releaseLeft();
    return frame;
  }

  /** @returns Where the idle clip will be left if speech is queued now. */
  nextCut(): { clip: Clip; frame: number; atSamples: number } | undefined {
    const entry = this.#entry;
    if (!entry || entry.item) return undefined;
    const at = this.#cutPoint(entry);
    const offset = Math.min(at - entry.startSamples, entry.clip.durationSamples);
    return { clip: entry.clip, frame: frameAtOrAfter(offset - CLOCK_PER_PCM, entry.clip.fps), atSamples: at };
  }

  /**
   * Decides the next 20 ms: fills `block` with PCM and schedules the frames that fall into it.
   * @returns Whether the block is not silent.
   */
  next(block: Int16Array): boolean {
    const from = this.#decided;
    const end = from + BLOCK_SAMPLES;
    block.fill(0);
    this.#prefetch();
    this.#considerCut();
    let at = Math.max(from, this.#firstSamples);
    while (at < end) at = this.#play(at, end, from, block);
    this.#mixTail(block, from, end);
    this.#decided = end;
    return !isSilent(block);
  }

  /** Lets time pass in which nothing could be sent (the process was frozen): playback waits, and nothing is lost. */
  skip(blocks: number): void {
    const samples = blocks * BLOCK_SAMPLES;
    if (this.#entry) this.#shift(this.#entry, samples);
    this.#tailSamples = NEVER;
    this.#decided += samples;
  }

  /**
   * Ends playout at a position.
   * @param report Whether the item that plays is finished as `interrupted` and the queued ones as `dropped`; otherwise
   * another host continues with them.
   */
  close(positionSamples: number, report: boolean): void {
    const entry = this.#entry;
    this.#entry = undefined;
    this.#frames.length = 0;
    this.#releaseLeft();
    if (entry?.item && report) {
      const playedSamples = Math.max(entry.enteredAt, Math.min(positionSamples, this.#decided) - entry.startSamples);
      this.#finish(entry.item, playedSamples, 'interrupted');
    } else {
      entry?.clip.release();
    }
    for (const item of this.#queue.splice(0)) {
      if (report) this.#drop(item);
      else item.clip.release();
    }
  }

  /** Plays from `at` up to `end` at most. @returns The position reached. */
  #play(at: number, end: number, blockFrom: number, block: Int16Array): number {
    const entry = this.#entry ?? this.#enter(at);
    if (!entry) return end; // no idle clip: silence, and the last frame stays
    const clipEnd = entry.startSamples + entry.clip.durationSamples;
    const leaveAt = Math.min(entry.cutSamples, clipEnd);
    if (leaveAt <= at) {
      this.#leave(entry, at);
      return at;
    }
    const stop = Math.min(end, leaveAt);
    const availability = entry.clip.availability(at - entry.startSamples, stop - entry.startSamples);
    if (availability === 'gone') {
      entry.cutSamples = at;
      entry.cutReason = 'failed';
      return at;
    }
    if (availability === 'late') {
      if (this.#heldSamples >= this.#options.pauseSamples && this.#replaceByIdle(entry, at)) return at;
      this.#hold(entry, at, end);
      return end;
    }
    this.#endHold(entry, at);
    this.#write(entry, at, stop, blockFrom, block);
    this.#schedule(entry, stop);
    entry.clip.follow(stop - entry.startSamples);
    return stop;
  }

  #write(entry: Entry, at: number, stop: number, blockFrom: number, block: Int16Array): void {
    const heardTo = Math.min(stop, entry.silentFrom);
    const count = (heardTo - at) / CLOCK_PER_PCM;
    if (count <= 0) return;
    const offset = (at - blockFrom) / CLOCK_PER_PCM;
    entry.clip.readPcm(at - entry.startSamples, block, offset, count);
    const faded = (at - entry.fadeInFrom) / CLOCK_PER_PCM;
    fadeIn(block, offset, count, faded, this.#options.crossfadeSamples / CLOCK_PER_PCM);
  }

  #schedule(entry: Entry, stop: number): void {
    const { clip } = entry;
    // Cuts lie on even samples, up to two samples after the frame they replace.
    const before = stop === entry.cutSamples ? stop - CLOCK_PER_PCM : stop;
    while (entry.nextFrame < clip.frames) {
      const positionSamples = entry.startSamples + frameOffsetSamples(entry.nextFrame, clip.fps);
      if (positionSamples >= before) return;
      const ticks = frameTicks(entry.startSamples, entry.nextFrame, clip.fps);
      this.#frames.push({
        clip,
        frame: entry.nextFrame,
        startSamples: entry.startSamples,
        positionSamples,
        ticks,
      });
      entry.nextFrame++;
    }
  }

  /**
   * Fetches the beginning of the next items, even before the timeline starts: a host that takes over must not show idle
   * first because its speech is not loaded yet.
   */
  #prefetch(): void {
    for (const item of this.#queue.slice(0, PREFETCHED_ITEMS)) item.clip.follow(this.#startOf(item).samples);
  }

  /** @returns Where in its clip an item begins: at the start, unless it is resumed. */
  #startOf({ seq, clip }: QueueItem): { frame: number; samples: number } {
    return this.#resume?.seq === seq ? entryAt(clip, this.#resume.positionSamples) : { frame: 0, samples: 0 };
  }

  /** @returns Whether the previous host has played the item to its end. Its position in the item after that is kept. */
  #wasPlayed({ seq, clip }: QueueItem): boolean {
    const resume = this.#resume;
    if (resume?.seq !== seq || resume.positionSamples < clip.durationSamples) return false;
    const positionSamples = resume.positionSamples - clip.durationSamples;
    // The next item may not have been fetched yet.
    const next = this.#queue[1]?.seq ?? seq + 1;
    this.#resume = next <= resume.throughSeq ? { ...resume, seq: next, positionSamples } : undefined;
    return true;
  }

  /** Decides where idle is left, by the avatar's cut policy, for speech that is ready or for other idle clips. */
  #considerCut(): void {
    const entry = this.#entry;
    if (!entry || entry.item || entry.cutSamples !== NEVER) return;
    if (!this.#nextSpeech() && !(this.#idleChanges && this.#options.isIdleReady())) return;
    entry.cutSamples = this.#cutPoint(entry);
    entry.silentFrom = entry.cutSamples;
  }

  #cutPoint(entry: Entry): number {
    const clipEnd = entry.startSamples + entry.clip.durationSamples;
    switch (this.#options.cutPolicy) {
      case 'now':
        return Math.min(this.#nextBoundary(entry), clipEnd);
      case 'clip-end':
        return clipEnd;
      case 'marks': {
        const marks = entry.clip.markFrames.map(
          (frame) => entry.startSamples + even(frameOffsetSamples(frame, entry.clip.fps)),
        );
        return Math.min(...marks.filter((mark) => mark >= this.#decided), clipEnd);
      }
    }
  }

  /** @returns Where the next frame begins that is not yet decided. */
  #nextBoundary(entry: Entry): number {
    if (entry.nextFrame >= entry.clip.frames) return Math.max(this.#decided, this.#firstSamples);
    return Math.max(entry.startSamples + even(frameOffsetSamples(entry.nextFrame, entry.clip.fps)), this.#decided);
  }

  /**
   * Revokes the frames of a clip that are decided but not yet sent. Frames of the clip before it stay, because all of its
   * audio is played.
   * @returns Whether there were any.
   */
  #revokeFrames(clip: Clip, sentSamples: number): boolean {
    const keep = this.#frames.findIndex((frame) => frame.clip === clip && frame.positionSamples > sentSamples);
    if (keep === -1) return false;
    this.#frames.length = keep;
    return true;
  }

  /** Underrun: the rest of this block is silent. The clip continues where it stopped, both tracks together. */
  #hold(entry: Entry, at: number, end: number): void {
    if (this.#heldSamples === 0) {
      this.#underruns++;
      this.#startTail(entry, at);
      if (entry.item) this.#setWaiting(true);
    }
    this.#heldSamples += end - at;
    entry.clip.follow(at - entry.startSamples);
    this.#shift(entry, end - at);
  }

  /**
   * Shows idle instead of an item that holds both tracks, as when its producer pauses or a store is away. The item continues
   * at the exact sample once it can start.
   * @returns Whether there is an idle clip.
   */
  #replaceByIdle(entry: Entry, at: number): boolean {
    const { item, clip } = entry;
    if (!item || entry.cutReason !== 'finished') return false;
    const idle = this.#nextIdle();
    if (!idle) return false;
    this.#options.onHeld(clip, this.#heldSamples);
    this.#heldSamples = 0;
    this.#queue.unshift(item);
    const positionSamples = at - entry.startSamples;
    this.#resume = { segment: clip.segment, seq: item.seq, positionSamples, throughSeq: item.seq };
    this.#enterAt(at, idle.clip, undefined, entryAt(idle.clip, idle.positionSamples));
    return true;
  }

  #endWait(): void {
    this.#resume = undefined;
    this.#setWaiting(false);
  }

  #setWaiting(isWaiting: boolean): void {
    if (this.#itemWaits === isWaiting) return;
    this.#itemWaits = isWaiting;
    this.#options.onWaiting(isWaiting);
  }

  #shift(entry: Entry, samples: number): void {
    entry.startSamples += samples;
    if (entry.cutSamples !== NEVER) entry.cutSamples += samples;
    if (entry.silentFrom !== NEVER) entry.silentFrom += samples;
  }

  #endHold(entry: Entry, at: number): void {
    if (this.#heldSamples === 0) return;
    entry.fadeInFrom = at;
    this.#setWaiting(false);
    this.#options.onHeld(entry.clip, this.#heldSamples);
    this.#heldSamples = 0;
  }

  #startTail(entry: Entry, at: number): void {
    this.#tail.fill(0);
    entry.clip.readPcm(at - entry.startSamples, this.#tail, 0, this.#tail.length);
    this.#tailSamples = at;
  }

  /**
   * Continues an idle clip that has ended with its last samples in reverse, fading out, so that its audio neither stops nor
   * steps where the loop joins.
   */
  #startEcho(entry: Entry): void {
    const { length } = this.#tail;
    const end = entry.startSamples + entry.clip.durationSamples;
    const from = Math.max(entry.startSamples, end - length * CLOCK_PER_PCM);
    this.#tail.fill(0);
    entry.clip.readPcm(from - entry.startSamples, this.#tail, 0, (end - from) / CLOCK_PER_PCM);
    this.#tail.subarray(0, (end - from) / CLOCK_PER_PCM).reverse();
    this.#tailSamples = end;
    this.#echoSamples = end;
  }

  /**
   * @returns Whether the clip continues the previous one with a step no larger than those within either, as a seamless loop
   * does.
   */
  #meetsEcho(clip: Clip): boolean {
    const head = new Int16Array(this.#tail.length);
    clip.readPcm(0, head, 0, head.length);
    const step = Math.abs((head[0] ?? 0) - (this.#tail[0] ?? 0));
    return step <= Math.max(largestStep(head), largestStep(this.#tail));
  }

  #mixTail(block: Int16Array, from: number, end: number): void {
    const start = Math.max(from, this.#tailSamples);
    const tailEnd = this.#tailSamples + this.#options.crossfadeSamples;
    const stop = Math.min(end, tailEnd);
    if (stop > start) {
      const done = (start - this.#tailSamples) / CLOCK_PER_PCM;
      mixFadeOut(block, (start - from) / CLOCK_PER_PCM, (stop - start) / CLOCK_PER_PCM, this.#tail, done);
    }
    if (end >= tailEnd) this.#tailSamples = NEVER;
  }

  #leave(entry: Entry, at: number): void {
    this.#entry = undefined;
    const held = this.#heldSamples;
    this.#heldSamples = 0;
    if (held > 0) this.#options.onHeld(entry.clip, held);
    if (entry.item) this.#setWaiting(false);
    const played = Math.min(at - entry.startSamples, entry.clip.durationSamples);
    const cutShort = at < entry.startSamples + entry.clip.durationSamples;
    // Interrupted audio already fades and held audio is silent; everything else that is cut fades here.
    if (cutShort && held === 0 && entry.silentFrom >= at) this.#startTail(entry, at);
    if (!entry.item) {
      if (!cutShort && held === 0) this.#startEcho(entry);
      this.#release(entry.clip);
      return;
    }
    const playedSamples = Math.min(played, entry.silentFrom - entry.startSamples);
    this.#finish(entry.item, playedSamples, entry.cutReason);
  }

  #enter(at: number): Entry | undefined {
    const item = this.#nextSpeech();
    if (item) this.#queue.shift();
    const idle = item ? undefined : this.#nextIdle();
    const clip = item?.clip ?? idle?.clip;
    if (!clip) return undefined;
    const start = item ? this.#startOf(item) : entryAt(clip, idle?.positionSamples ?? 0);
    if (item) this.#endWait();
    return this.#enterAt(at, clip, item, start);
  }

  #enterAt(at: number, clip: Clip, item: QueueItem | undefined, start: { frame: number; samples: number }): Entry {
    const enteredAt = start.samples;
    const joins = !item && enteredAt === 0 && this.#echoSamples === at && this.#meetsEcho(clip);
    if (joins) this.#tailSamples = NEVER;
    const isSeamless = joins || this.#continuedSamples === at;
    const entry: Entry = {
      clip,
      item,
      startSamples: at - enteredAt,
      enteredAt,
      nextFrame: start.frame,
      cutSamples: NEVER,
      silentFrom: NEVER,
      cutReason: 'finished',
      // Speech starts at full level; idle fades in, even where a loop repeats, unless it joins seamlessly.
      fadeInFrom: (enteredAt > 0 || !item) && !isSeamless ? at : -NEVER,
    };
    this.#entry = entry;
    this.#idleChanges = false;
    if (item) this.#start(item);
    return entry;
  }

  #start(item: QueueItem): void {
    if (item.seq <= this.#startedSeq) return;
    this.#startedSeq = item.seq;
    this.#options.onStarted(item);
  }

  /** @returns The next idle clip and its start position: that of the previous host if it showed this clip, else 0. */
  #nextIdle(): { clip: Clip; positionSamples: number } | undefined {
    for (;;) {
      const clip = this.#options.nextIdle();
      const resume = this.#resumeIdle;
      if (!clip || !resume) return clip && { clip, positionSamples: 0 };
      const isIt = resume.segment === undefined || resume.segment === clip.segment;
      if (!isIt || resume.positionSamples < clip.durationSamples) {
        this.#resumeIdle = undefined;
        return { clip, positionSamples: isIt ? resume.positionSamples : 0 };
      }
      this.#resumeIdle = { segment: undefined, positionSamples: resume.positionSamples - clip.durationSamples };
      clip.release();
    }
  }

  /**
   * @returns The head of the queue if it can start now. Items that have been played or can never start are finished on the
   * way.
   */
  #nextSpeech(): QueueItem | undefined {
    for (let item = this.#queue[0]; item; item = this.#queue[0]) {
      if (this.#wasPlayed(item)) {
        this.#queue.shift();
        this.#start(item);
        this.#finish(item, item.clip.durationSamples, 'finished');
        continue;
      }
      const from = this.#startOf(item).samples;
      const availability = item.clip.availability(from, Math.min(from + BLOCK_SAMPLES, item.clip.durationSamples));
      if (availability === 'ready') return item;
      if (availability === 'late') {
        item.clip.follow(from);
        return undefined;
      }
      this.#queue.shift();
      this.#finish(item, from, 'failed');
    }
    return undefined;
  }

  /** Finishes an item as interrupted at its position if it was started, here or by another host, and as dropped otherwise. */
  #drop(item: QueueItem): void {
    const started = this.#resume?.seq === item.seq;
    this.#finish(item, this.#startOf(item).samples, started ? 'interrupted' : 'dropped');
  }

  /** Releases a clip once its last frame has been taken. */
  #release(clip: Clip): void {
    this.#left.push(clip);
    this.#releaseLeft();
  }

  #releaseLeft(): void {
    const left = this.#left.filter((clip) => this.#frames.some((frame) => frame.clip === clip));
    for (const clip of this.#left) if (!left.includes(clip)) clip.release();
    this.#left = left;
  }

  #finish(item: QueueItem, positionSamples: number, reason: FinishReason): void {
    this.#options.onFinished(item, positionSamples, reason);
    this.#release(item.clip);
  }
}

/** A loop, because this runs for each packet of each session and a callback per sample takes ten times as long. */
function isSilent(block: Int16Array): boolean {
  for (let i = 0; i < block.length; i++) if (block[i] !== 0) return false;
  return true;
}

/** @returns Where a clip is entered for a position: the next PCM sample, and the first frame that is due from there on. */
function entryAt(clip: Clip, positionSamples: number): { frame: number; samples: number } {
  const samples = Math.min(even(positionSamples), clip.durationSamples);
  return { frame: frameAtOrAfter(samples, clip.fps), samples };
}

/** Rounds up to an even position, which is a whole PCM sample. */
function even(samples: number): number {
  return Math.ceil(samples / CLOCK_PER_PCM) * CLOCK_PER_PCM;
}
