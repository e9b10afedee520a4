import { type CutPolicy, type FinishReason } from '@humancast/protocol';
import { CLOCK_PER_PCM } from '@humancast/shared';
import type { Clip } from './clip.js';
import { fadeIn, largestStep, mixFadeOut } from './fade.js';
import { frameAtOrAfter, frameOffsetSamples, frameTicks } from './timeline.js';

/** One audio packet: 20 ms at 48 kHz. The playout is decided in steps of this. */
export const BLOCK_SAMPLES = 960;
export const BLOCK_PCM = BLOCK_SAMPLES / CLOCK_PER_PCM;

export interface QueueItem {
  readonly seq: number;
  readonly clip: Clip;
}

/** A frame with its place on the timeline. */
export interface ScheduledFrame {
  readonly clip: Clip;
  readonly frame: number;
  /** Media-clock samples, fractional: when it is due. */
  readonly positionSamples: number;
  /** 90 kHz. */
  readonly ticks: number;
}

/** A clip's stay on the timeline. */
interface Entry {
  readonly clip: Clip;
  readonly item: QueueItem | undefined;
  /** Timeline position of the clip's position zero; grows when the playout holds. */
  startSamples: number;
  /** Clip position at which it was entered: 0, or where it is resumed. */
  readonly enteredAt: number;
  nextFrame: number;
  /** Timeline position at which it is left before its end, once decided. */
  cutSamples: number;
  /** Timeline position from which it is not heard any more; at most `cutSamples`. */
  silentFrom: number;
  /** Why it is left. */
  cutReason: FinishReason;
  /** PCM samples still to be faded in. */
  fadeInFrom: number;
}

export interface PlayoutOptions {
  /** The next idle clip that can be played at once, or none. The playout releases it. */
  nextIdle: () => Clip | undefined;
  cutPolicy: CutPolicy;
  /** Length of a fade, media-clock samples, even. */
  crossfadeSamples: number;
  onStarted: (item: QueueItem) => void;
  /** Exactly once for every item. `positionSamples`: how much of it was played. */
  onFinished: (item: QueueItem, positionSamples: number, reason: FinishReason) => void;
  /** Media was late, both tracks waited this long and went on. */
  onHeld: (clip: Clip, heldSamples: number) => void;
}

export interface Playhead {
  readonly clip: Clip;
  readonly seq: number;
  /** From the clip's start. */
  readonly positionSamples: number;
}

/** Where another host was in the playout, for the one that goes on. */
export interface Resumption {
  readonly segment: string;
  /** Of the queued item; 0 for an idle clip. */
  readonly seq: number;
  /** Media-clock samples from the segment's start. */
  readonly positionSamples: number;
  /** Up to which seq that host had the queue: so far it may have played on. */
  readonly throughSeq: number;
}

/** What keeps both tracks waiting for longer than this, 500 ms, makes room for idle. */
const STEP_ASIDE_SAMPLES = 24_000;
/** Queued clips whose beginning is in memory before their turn. */
const PREFETCHED_ITEMS = 2;
const NEVER = Number.POSITIVE_INFINITY;

/**
 * What a session plays: queued clips, idle ones between, never a hole. Pure: it knows no time but the position up to which
 * it has decided (`decidedSamples`), and is asked for 20 ms more whenever an audio packet is due. Both tracks are decided in the
 * same step, so they can't part: what one lacks, both wait for.
 */
export class Playout {
  readonly #options: PlayoutOptions;
  readonly #queue: QueueItem[] = [];
  readonly #frames: ScheduledFrame[] = [];
  #entry: Entry | undefined;
  /** The end of a clip that was cut off, fading out under what follows from this position on. */
  readonly #tail: Int16Array;
  #tailSamples = NEVER;
  /** Where the last idle clip that was heard to its end ended. */
  #echoSamples = NEVER;
  #decided: number;
  #heldSamples = 0;
  #underruns = 0;
  /** Everything up to this seq has been interrupted, also what arrives later. */
  #interruptedSeq = 0;
  #resume: Resumption | undefined;
  /** What was started here up to this seq is not started again when it is gone on with. */
  #startedSeq = 0;
  /** The idle clip that is gone on with, until it has been entered; without a segment it is whichever comes next. */
  #resumeIdle: { segment: string | undefined; positionSamples: number } | undefined;

  /** @param firstSample where the first block begins: negative when the encoder looks ahead. Clips start at 0. */
  constructor(firstSample: number, options: PlayoutOptions) {
    this.#decided = firstSample;
    this.#options = options;
    this.#tail = new Int16Array(options.crossfadeSamples / CLOCK_PER_PCM);
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

  /** Whether something waits for its media: what is heard next is not what lies behind it by the clock. */
  get waiting(): boolean {
    return this.holding || this.#resume !== undefined;
  }

  /** What another host would have to go on with: an item that has stepped aside for idle comes before that. */
  resumptionAt(positionSamples: number): Omit<Resumption, 'throughSeq'> | undefined {
    if (this.#resume) return this.#resume;
    const playhead = this.playheadAt(positionSamples);
    return playhead && { ...playhead, segment: playhead.clip.segment };
  }

  /** Plays an item when its turn comes; items are kept in the order of `seq`. One that was interrupted already is over at once. */
  enqueue(item: QueueItem): void {
    // Items come in order: what was to be resumed has gone.
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

  /** Goes on where another host was, at the exact sample; a viewer's decoder catches up from the start of the GOP, as of any joiner. */
  resumeAt(resumption: Resumption): void {
    if (resumption.seq > 0) this.#resume = resumption;
    else this.#resumeIdle = resumption;
  }

  /** The host before has played on meanwhile: so much more of what is resumed has been heard and seen. */
  playedOn(samples: number): void {
    if (this.#resume) this.#resume = { ...this.#resume, positionSamples: this.#resume.positionSamples + samples };
    if (this.#resumeIdle) this.#resumeIdle.positionSamples += samples;
  }

  /**
   * Barge-in: everything up to `throughSeq` is over. The voice fades from where nothing has been decided yet, and the picture
   * leaves at the next frame. Repeating it, or when nothing plays, changes nothing.
   * @param sentSamples timeline position up to which frames have left.
   */
  interrupt(throughSeq: number, sentSamples: number): void {
    this.#interruptedSeq = Math.max(this.#interruptedSeq, throughSeq);
    while (this.#queue[0] && this.#queue[0].seq <= throughSeq) {
      this.#drop(this.#queue.shift() as QueueItem);
    }
    if (this.#resume && this.#resume.seq <= throughSeq) this.#resume = undefined;
    const entry = this.#entry;
    if (entry?.item && entry.item.seq <= throughSeq) this.#cut(entry, sentSamples);
  }

  /**
   * Drops the items that were taken out of the session's queue, because their segment was deleted; what plays of them is left
   * as in {@link interrupt}.
   */
  drop(isGone: (seq: number) => boolean, sentSamples: number): void {
    for (const item of this.#queue.filter(({ seq }) => isGone(seq))) {
      this.#queue.splice(this.#queue.indexOf(item), 1);
      this.#drop(item);
    }
    const entry = this.#entry;
    if (entry?.item && isGone(entry.item.seq)) this.#cut(entry, sentSamples);
  }

  /** Leaves a clip at the next frame, its voice fading from where nothing has been decided yet. */
  #cut(entry: Entry, sentSamples: number): void {
    if (entry.cutReason === 'interrupted') return;
    if (entry.startSamples + entry.clip.durationSamples <= this.#decided) return; // all of it is decided: it has been said
    entry.cutReason = 'interrupted';
    entry.silentFrom = this.#decided;
    entry.cutSamples = this.#revokeFrames(entry.clip, sentSamples) ? this.#decided : this.#nextBoundary(entry);
    // Held, so not heard: nothing to fade.
    if (this.#heldSamples === 0) this.#startTail(entry, this.#decided);
  }

  /** The frame due next, left in place. */
  peekFrame(): ScheduledFrame | undefined {
    return this.#frames[0];
  }

  takeFrame(): ScheduledFrame | undefined {
    return this.#frames.shift();
  }

  /** Where the idle clip will be left if speech is queued now. */
  nextCut(): { clip: Clip; frame: number; atSamples: number } | undefined {
    const entry = this.#entry;
    if (!entry || entry.item) return undefined;
    const at = this.#cutPoint(entry);
    const offset = Math.min(at - entry.startSamples, entry.clip.durationSamples);
    return { clip: entry.clip, frame: frameAtOrAfter(offset - CLOCK_PER_PCM, entry.clip.fps), atSamples: at };
  }

  /**
   * Decides the next 20 ms: fills `block` with PCM, and schedules the frames that fall into them.
   * → whether there is any sound in it.
   */
  next(block: Int16Array): boolean {
    const from = this.#decided;
    const end = from + BLOCK_SAMPLES;
    block.fill(0);
    this.#prefetch();
    this.#considerSpeech();
    let at = Math.max(from, 0); // nothing before the anchor
    while (at < end) at = this.#play(at, end, from, block);
    this.#mixTail(block, from, end);
    this.#decided = end;
    return !isSilent(block);
  }

  /** Time that nobody could be served in (the process was stopped): nothing plays, nothing is skipped. Whole blocks. */
  skip(blocks: number): void {
    const samples = blocks * BLOCK_SAMPLES;
    if (this.#entry) this.#shift(this.#entry, samples);
    this.#tailSamples = NEVER;
    this.#decided += samples;
  }

  /**
   * Ends the playout at a position. With `report`, what plays is finished as `interrupted` and what waits as `dropped`;
   * without, another host goes on with them.
   */
  close(positionSamples: number, report: boolean): void {
    const entry = this.#entry;
    this.#entry = undefined;
    this.#frames.length = 0;
    if (entry?.item && report) {
      const heard = Math.max(entry.enteredAt, Math.min(positionSamples, this.#decided) - entry.startSamples);
      this.#finish(entry.item, heard, 'interrupted');
    } else {
      entry?.clip.release();
    }
    for (const item of this.#queue.splice(0)) {
      if (report) this.#drop(item);
      else item.clip.release();
    }
  }

  /** Plays from `at` up to `end` at most; → how far it got. */
  #play(at: number, end: number, blockFrom: number, block: Int16Array): number {
    const entry = this.#entry ?? this.#enter(at);
    if (!entry) return end; // no idle clip at all: silence, and the last frame stays
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
      if (this.#heldSamples >= STEP_ASIDE_SAMPLES && this.#stepAside(entry, at)) return at;
      this.#hold(entry, at, end);
      return end;
    }
    this.#resumeSound(entry, at);
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
    // Cuts lie on even samples, up to two after the frame they replace.
    const before = stop === entry.cutSamples ? stop - CLOCK_PER_PCM : stop;
    while (entry.nextFrame < clip.frames) {
      const positionSamples = entry.startSamples + frameOffsetSamples(entry.nextFrame, clip.fps);
      if (positionSamples >= before) return;
      const ticks = frameTicks(entry.startSamples, entry.nextFrame, clip.fps);
      this.#frames.push({ clip, frame: entry.nextFrame, positionSamples, ticks });
      entry.nextFrame++;
    }
  }

  /** Also before the timeline starts: a host that takes over must not show idle first because its speech is not there yet. */
  #prefetch(): void {
    for (const item of this.#queue.slice(0, PREFETCHED_ITEMS)) item.clip.follow(this.#startOf(item).samples);
  }

  /** Where in its clip an item begins: at the start, unless it is resumed. */
  #startOf({ seq, clip }: QueueItem): { frame: number; samples: number } {
    return this.#resume?.seq === seq ? entryAt(clip, this.#resume.positionSamples) : { frame: 0, samples: 0 };
  }

  /** @returns whether the host before has played it to its end; how far that host got in the next one is kept. */
  #wasPlayed({ seq, clip }: QueueItem): boolean {
    const resume = this.#resume;
    if (resume?.seq !== seq || resume.positionSamples < clip.durationSamples) return false;
    const next = this.#queue[1];
    const positionSamples = resume.positionSamples - clip.durationSamples;
    this.#resume = next && next.seq <= resume.throughSeq ? { ...resume, seq: next.seq, positionSamples } : undefined;
    return true;
  }

  /** Idle is left for speech that is ready, where the avatar's policy says. */
  #considerSpeech(): void {
    const entry = this.#entry;
    if (!entry || entry.item || entry.cutSamples !== NEVER || !this.#nextSpeech()) return;
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

  /** Where the next frame that is not yet decided would begin. */
  #nextBoundary(entry: Entry): number {
    if (entry.nextFrame >= entry.clip.frames) return Math.max(this.#decided, 0);
    return Math.max(entry.startSamples + even(frameOffsetSamples(entry.nextFrame, entry.clip.fps)), this.#decided);
  }

  /**
   * Takes back the frames of a clip that are decided but have not left. Those of the clip before it stay: all of its audio is heard.
   *
   * @returns whether there were any.
   */
  #revokeFrames(clip: Clip, sentSamples: number): boolean {
    const keep = this.#frames.findIndex((frame) => frame.clip === clip && frame.positionSamples > sentSamples);
    if (keep === -1) return false;
    this.#frames.length = keep;
    return true;
  }

  /** Underrun: the rest of this block passes without the clip. It goes on where it stopped, both tracks together. */
  #hold(entry: Entry, at: number, end: number): void {
    if (this.#heldSamples === 0) {
      this.#underruns++;
      this.#startTail(entry, at);
    }
    this.#heldSamples += end - at;
    entry.clip.follow(at - entry.startSamples);
    this.#shift(entry, end - at);
  }

  /**
   * Shows idle in place of an item that keeps both tracks waiting: a producer that thinks, a store that is away. The item goes on
   * where it was, at the exact sample, once enough of it is there to start. @returns whether there is an idle clip to show.
   */
  #stepAside(entry: Entry, at: number): boolean {
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

  #shift(entry: Entry, samples: number): void {
    entry.startSamples += samples;
    if (entry.cutSamples !== NEVER) entry.cutSamples += samples;
    if (entry.silentFrom !== NEVER) entry.silentFrom += samples;
  }

  #resumeSound(entry: Entry, at: number): void {
    if (this.#heldSamples === 0) return;
    entry.fadeInFrom = at;
    this.#options.onHeld(entry.clip, this.#heldSamples);
    this.#heldSamples = 0;
  }

  #startTail(entry: Entry, at: number): void {
    this.#tail.fill(0);
    entry.clip.readPcm(at - entry.startSamples, this.#tail, 0, this.#tail.length);
    this.#tailSamples = at;
  }

  /**
   * Continues an idle clip that has ended with its last samples in reverse, fading out, so that its audio neither stops nor steps
   * where the loop joins.
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

  /** @returns Whether the clip goes on from the echo's clip with a step no larger than those within either, as a seamless loop does. */
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
    const played = Math.min(at - entry.startSamples, entry.clip.durationSamples);
    const cutShort = at < entry.startSamples + entry.clip.durationSamples;
    // An interrupted voice has begun to fade earlier, a held one is silent; everything else that is cut fades here.
    if (cutShort && held === 0 && entry.silentFrom >= at) this.#startTail(entry, at);
    if (!entry.item) {
      if (!cutShort && held === 0) this.#startEcho(entry);
      entry.clip.release();
      return;
    }
    const heard = Math.min(played, entry.silentFrom - entry.startSamples);
    this.#finish(entry.item, heard, entry.cutReason);
  }

  #enter(at: number): Entry | undefined {
    const item = this.#nextSpeech();
    if (item) this.#queue.shift();
    const idle = item ? undefined : this.#nextIdle();
    const clip = item?.clip ?? idle?.clip;
    if (!clip) return undefined;
    const start = item ? this.#startOf(item) : entryAt(clip, idle?.positionSamples ?? 0);
    if (item) this.#resume = undefined;
    return this.#enterAt(at, clip, item, start);
  }

  #enterAt(at: number, clip: Clip, item: QueueItem | undefined, start: { frame: number; samples: number }): Entry {
    const enteredAt = start.samples;
    const isSeamless = !item && enteredAt === 0 && this.#echoSamples === at && this.#meetsEcho(clip);
    if (isSeamless) this.#tailSamples = NEVER;
    const entry: Entry = {
      clip,
      item,
      startSamples: at - enteredAt,
      enteredAt,
      nextFrame: start.frame,
      cutSamples: NEVER,
      silentFrom: NEVER,
      cutReason: 'finished',
      // Speech starts at full level; idle fades in, also where a loop starts again, unless it joins seamlessly.
      fadeInFrom: (enteredAt > 0 || !item) && !isSeamless ? at : -NEVER,
    };
    this.#entry = entry;
    if (item) this.#start(item);
    return entry;
  }

  #start(item: QueueItem): void {
    if (item.seq <= this.#startedSeq) return;
    this.#startedSeq = item.seq;
    this.#options.onStarted(item);
  }

  /** The next idle clip, and where it begins: where the host before was, if it showed that one; else at its start. */
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

  /** The head of the queue if it can start now; what has been played, or can never start, is finished on the way. */
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

  /** What has been begun, here or by another host, is interrupted where it was; anything else is dropped. */
  #drop(item: QueueItem): void {
    const begun = this.#resume?.seq === item.seq;
    this.#finish(item, this.#startOf(item).samples, begun ? 'interrupted' : 'dropped');
  }

  #finish(item: QueueItem, positionSamples: number, reason: FinishReason): void {
    this.#options.onFinished(item, positionSamples, reason);
    item.clip.release();
  }
}

/** Every packet of every session is looked at: a loop, because a callback a sample takes ten times as long. */
function isSilent(block: Int16Array): boolean {
  for (let i = 0; i < block.length; i++) if (block[i] !== 0) return false;
  return true;
}

/** Where a clip is entered at a position: the next PCM sample, and the first frame that is due from there on. */
function entryAt(clip: Clip, positionSamples: number): { frame: number; samples: number } {
  const samples = Math.min(even(positionSamples), clip.durationSamples);
  return { frame: frameAtOrAfter(samples, clip.fps), samples };
}

/** Clips start at even positions: a whole number of PCM samples. */
function even(samples: number): number {
  return Math.ceil(samples / CLOCK_PER_PCM) * CLOCK_PER_PCM;
}
