import type { Codec } from '@humancast/protocol';
import type { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { LeakyBucket } from '../congestion/leaky-bucket.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { REPAIR_SHARE, type RepairBudget } from '../rtp/repair-budget.js';
import type { Clip } from './clip.js';
import type { ScheduledFrame } from './playout.js';
import type { RenditionDemand } from './rendition-demand.js';
import { RungAllocator } from './rung-allocator.js';

/** Packets leave at this multiple of the estimate, so that a keyframe is spread and does not fill a queue on the way. */
const PACING = 1.5;
/** The same while nothing has shown that the path is narrow: the first video must not wait for an estimate. */
const UNCONSTRAINED_PACING_BPS = 8_000_000;
/** A keyframe should leave within about a frame's time; the path is probed up to this many times the largest rung. */
const WANTED_FACTOR = 4;
/** What a packet takes on the network besides its payload. */
const PACKET_OVERHEAD_BYTES = 68;
/** A GOP that is begun late is brought along only up to this size: a smaller rung shows something sooner. */
const CATCH_UP_BYTES = 24_000;
/** What waits here longer than this is no use any more. */
const LONGEST_QUEUE_MS = 250;
/** Below this share of what a rung takes, the estimate has collapsed: its next keyframe is not waited for. */
const COLLAPSED_SHARE = 0.7;
/** Frames waiting for a slow path; beyond that it starts anew at the next keyframe. */
const QUEUE_LIMIT = 300;
/** A keyframe that comes by itself within this is waited for. */
const WAIT_FOR_KEYFRAME_MS = 120;
/** Requests for a keyframe are answered this far apart, or two round trips where that is longer. */
const ANSWER_INTERVAL_MS = 1000;

/** What a pacer needs of a connection. */
export interface VideoSink {
  /**
   * Sends the packets of a frame from `fromPacket` up to, not including, `toPacket`. Default: all.
   * @returns how many of them it took; fewer than it was given when media may not leave at this instant. The rest has used up
   * no sequence number, so a viewer that receives it later misses nothing.
   */
  sendVideo(frame: PacketizedFrame, rtpTicks: number, fromPacket?: number, toPacket?: number): number;
  /** What may be sent again because the viewer asks. */
  readonly repairs: RepairBudget;
  readonly roundTripMs: number | undefined;
  /** How much the viewer's path carries. */
  readonly bandwidth: BandwidthEstimator;
  /** What audio takes of that, with what it repeats: it goes first. */
  readonly audioBps: number;
  /** Video that was sent so far is not repeated on request any more: something else takes its place. */
  forgetVideo(): void;
  /** Repeats a packet of video only to probe the path. @returns its size in bytes; 0 if there is none. */
  sendPadding(): number;
}

interface Pending {
  readonly frame: PacketizedFrame;
  readonly ticks: number;
}

/**
 * One viewer's video: chooses the rendition at each keyframe by what the path carries, leaves out what does not fit, paces,
 * starts at a keyframe, and serves a stuck decoder from memory.
 */
export class VideoPacer {
  readonly codec: Codec;
  readonly #sink: VideoSink;
  readonly #demand: RenditionDemand | undefined;
  readonly #allocator = new RungAllocator();
  readonly #bucket = new LeakyBucket();
  readonly #queue: Pending[] = [];
  #queuedBytes = 0;
  #nextPacket = 0;
  /** The rung that the decoder is sent. */
  #rung = 0;
  /** What that rung takes, bits per second. */
  #rungBps = 0;
  /** Even the smallest rung does not fit: of what is sent, the frames that no other needs are left out. */
  #isHalved = false;
  /** What the frames may still take where even the smallest rung does not fit, bytes. */
  #creditBytes = 0;
  #creditAtMs: number | undefined;
  /** Whether the decoder has everything since a keyframe. */
  #synced = false;
  /** Nothing is sent until the next keyframe. */
  #awaitsKeyframe = false;
  /** What fits is not in memory yet. */
  #awaitsRung = false;
  /** Nothing was heard of what was sent, so nothing is sent. */
  #isSilent = false;
  #answerAfterMs = Number.NEGATIVE_INFINITY;
  /** The frame that was shown last: the decoder can go on with what follows it. */
  #last: ScheduledFrame | undefined;
  #lastTicks = -1;

  constructor(codec: Codec, sink: VideoSink, demand?: RenditionDemand) {
    this.codec = codec;
    this.#sink = sink;
    this.#demand = demand;
  }

  /** Frames waiting to be sent. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Takes a frame that is due. The viewer's first one brings along what its GOP had before. */
  show(scheduled: ScheduledFrame, nowMs: number): void {
    if (this.#queue.length >= QUEUE_LIMIT) this.#abandon();
    const { clip, frame } = scheduled;
    this.#earn(nowMs);
    this.#watchSilence(nowMs);
    const isKeyframe = frame % clip.gopFrames === 0;
    if (this.#isSilent || (this.#awaitsKeyframe && !isKeyframe)) return;
    this.#awaitsKeyframe = false;
    if (isKeyframe) this.#allocate(scheduled, nowMs);
    else if (this.#synced && this.#isOverloaded(nowMs)) this.#lower(scheduled, nowMs);
    const goesOn = this.#synced && this.#canGoOnWith(scheduled);
    if (!goesOn && !isKeyframe) this.#allocateCatchUp(scheduled, nowMs);
    if (this.#awaitsKeyframe || this.#awaitsRung) {
      this.#synced = false;
      return;
    }
    const frames = goesOn
      ? framesOf(scheduled, frame, this.codec, this.#rung)
      : neededFrames(scheduled, this.codec, this.#rung);
    this.#last = scheduled;
    if (goesOn && this.#leavesOut(frames?.[0], nowMs)) return;
    // Incomplete (no such rendition, or not in memory yet): the decoder would break; the next keyframe mends it.
    this.#synced = frames !== undefined && this.#spend(frames, nowMs);
    if (!frames || !this.#synced) return;
    for (let i = 0; i < frames.length; i++) {
      // Those before it in the GOP lie in the past, one frame's time apart; they are decoded and never shown.
      const back = frames.length - 1 - i;
      this.#push(
        frames[i] as PacketizedFrame,
        scheduled.ticks - Math.round((back * 90_000 * clip.fps.den) / clip.fps.num),
      );
    }
  }

  /**
   * The viewer asks for a keyframe. Where one is near, or would be here before the GOP so far has been sent again, it is sent
   * nothing until that. Otherwise it gets the GOP so far again, squeezed into the instants after the frame it saw last, so
   * that it is back within a round trip. It gets it at most once a second and within its budget, so that asking often
   * neither costs much nor makes a congested path worse: the next keyframe comes by itself.
   */
  recover(showing: ScheduledFrame | undefined, nowMs: number): void {
    if (!showing || this.#queue.length > 0 || this.#awaitsKeyframe || nowMs < this.#answerAfterMs) return;
    const frames = neededFrames(showing, this.codec, this.#rung);
    const bytes = frames ? bytesOf(frames) : 0;
    if (untilKeyframeMs(showing) <= Math.max(WAIT_FOR_KEYFRAME_MS, this.#sendMs(bytes, nowMs))) {
      this.#awaitsKeyframe = true;
    } else {
      // What is sent again earns credit as it is sent; it must not pay for itself.
      if (!frames || !this.#sink.repairs.spend(bytes * (1 + REPAIR_SHARE))) return;
      this.#sink.forgetVideo();
      for (const frame of frames) this.#push(frame, this.#lastTicks + 1);
    }
    this.#answerAfterMs = nowMs + Math.max(ANSWER_INTERVAL_MS, 2 * (this.#sink.roundTripMs ?? 0));
  }

  /** Ends the demand for renditions. */
  close(): void {
    this.#demand?.delete(this);
  }

  /**
   * Sends what may leave now. What the connection refuses stays at the head of the queue: once media may leave again, the decoder
   * goes on with the very packet that it lacks, and needs no keyframe.
   * @returns when it wants to go on, monotonic ms; `undefined` when nothing waits, or nothing may leave.
   */
  pump(nowMs: number): number | undefined {
    const { bandwidth } = this.#sink;
    bandwidth.poll(nowMs);
    for (;;) {
      if (this.#queue.length === 0 && !bandwidth.wantsPadding) return undefined;
      const rateBps = bandwidth.probeBps || this.#paceBps(nowMs);
      const room = this.#bucket.room(rateBps, nowMs);
      if (room <= 0) return this.#bucket.readyAtMs(rateBps, nowMs);
      const bytes = this.#queue.length > 0 ? this.#sendPackets(room) : this.#sink.sendPadding();
      if (bytes === 0) return undefined;
      this.#bucket.spend(bytes);
    }
  }

  /**
   * Sends packets of the frame at the head of the queue, as many as there is room for, and at least one.
   * @returns their size on the network in bytes; 0 when none was taken.
   */
  #sendPackets(room: number): number {
    const [head] = this.#queue;
    if (!head) return 0;
    const { payloads } = head.frame;
    let to = this.#nextPacket;
    for (let bytes = 0; to < payloads.length && bytes < room; to++) bytes += packetBytes(head.frame, to);
    const end = this.#nextPacket + this.#sink.sendVideo(head.frame, head.ticks, this.#nextPacket, to);
    let sentBytes = 0;
    for (; this.#nextPacket < end; this.#nextPacket++) sentBytes += packetBytes(head.frame, this.#nextPacket);
    this.#queuedBytes -= sentBytes;
    if (end >= payloads.length) {
      this.#nextPacket = 0;
      this.#queue.shift();
    }
    return sentBytes;
  }

  /** At a keyframe: the largest rung that fits. */
  #allocate({ clip, frame }: ScheduledFrame, nowMs: number): void {
    const rates = rungRates(clip, this.codec, frame);
    const wanted = this.#allocator.choose(rates, this.#budgetBps(nowMs), nowMs);
    this.#use(inMemory(clip, this.codec, wanted, frame, frame) ?? wanted, rates, wanted);
    this.#isHalved = this.#isScarce(nowMs);
  }

  /** In the middle of a GOP: the largest rung that fits and of which not too much has to be sent at once. */
  #allocateCatchUp(scheduled: ScheduledFrame, nowMs: number): void {
    const { clip, frame } = scheduled;
    const rates = rungRates(clip, this.codec, frame);
    const wanted = this.#allocator.choose(rates, this.#budgetBps(nowMs), nowMs);
    let rung = wanted;
    for (; rung < rates.length - 1; rung++) {
      const frames = neededFrames(scheduled, this.codec, rung);
      if (frames && bytesOf(frames) <= CATCH_UP_BYTES) break;
    }
    const found = inMemory(clip, this.codec, rung, gopStart(scheduled), frame) ?? rung;
    this.#use(found, rates, wanted);
    const frames = neededFrames(scheduled, this.codec, found);
    const isTooLate = frames && this.#sendMs(bytesOf(frames), nowMs) > untilKeyframeMs(scheduled);
    if (isTooLate && this.#lastTicks >= 0) this.#awaitsKeyframe = true;
  }

  /** The estimate has collapsed within a GOP: what waits is left out, and the GOP goes on in a rung that fits. */
  #lower(scheduled: ScheduledFrame, nowMs: number): void {
    const rates = rungRates(scheduled.clip, this.codec, scheduled.frame);
    const rung = this.#allocator.choose(rates, this.#budgetBps(nowMs), nowMs);
    this.#abandon();
    if (rung <= this.#rung) this.#awaitsKeyframe = true;
  }

  #use(rung: number, rates: readonly number[], wanted: number): void {
    const { bandwidth } = this.#sink;
    bandwidth.want((rates[0] ?? 0) * WANTED_FACTOR + this.#sink.audioBps);
    // On a narrow path the one below may be needed at any time.
    this.#demand?.set(this, this.codec, bandwidth.isConstrained ? [rung, wanted, wanted + 1] : [rung, wanted]);
    // Repairs of a larger rung would take what the path has just lost.
    if (rung > this.#rung) this.#sink.forgetVideo();
    this.#rung = rung;
    this.#rungBps = rates[rung] ?? 0;
    // A larger one than fits is worse than none, until what was demanded has come.
    this.#awaitsRung = bandwidth.isConstrained && rung < wanted;
  }

  #isOverloaded(nowMs: number): boolean {
    if (!this.#sink.bandwidth.isConstrained) return false;
    if (this.#sendMs(this.#queuedBytes, nowMs) > LONGEST_QUEUE_MS) return true;
    return this.#rung < this.#lastRung && this.#budgetBps(nowMs) < COLLAPSED_SHARE * this.#rungBps;
  }

  /** Of the clip that is shown. */
  get #lastRung(): number {
    return (this.#last?.clip.rungs(this.codec).length ?? 1) - 1;
  }

  /** What video may take, after audio and what will be sent again. */
  #budgetBps(nowMs: number): number {
    const { bandwidth } = this.#sink;
    return Math.max(0, bandwidth.targetBps(nowMs) - this.#sink.audioBps) * (1 - Math.min(bandwidth.lossRate, 0.5));
  }

  #paceBps(nowMs: number): number {
    const { bandwidth } = this.#sink;
    const paceBps = bandwidth.targetBps(nowMs) * PACING;
    return bandwidth.isConstrained ? paceBps : Math.max(paceBps, UNCONSTRAINED_PACING_BPS);
  }

  #sendMs(bytes: number, nowMs: number): number {
    return (bytes * 8000) / this.#paceBps(nowMs);
  }

  #earn(nowMs: number): void {
    const budgetBps = this.#budgetBps(nowMs);
    const elapsedMs = nowMs - (this.#creditAtMs ?? nowMs);
    this.#creditAtMs = nowMs;
    // A second's worth, or whatever the next keyframe takes.
    this.#creditBytes = Math.min(
      this.#creditBytes + (budgetBps * elapsedMs) / 8000,
      Math.max(budgetBps / 8, CATCH_UP_BYTES),
    );
  }

  /**
   * Where even the smallest rung takes more than there is, frames are left out: those that no other needs, then the end of each
   * GOP, then whole GOPs.
   * @returns whether these frames may be sent.
   */
  #spend(frames: readonly PacketizedFrame[], nowMs: number): boolean {
    const bytes = bytesOf(frames);
    if (this.#isScarce(nowMs) && bytes > this.#creditBytes) {
      this.#awaitsKeyframe = true;
      return false;
    }
    this.#creditBytes = Math.max(0, this.#creditBytes - bytes);
    return true;
  }

  #isScarce(nowMs: number): boolean {
    return this.#sink.bandwidth.isConstrained && this.#rungBps > this.#budgetBps(nowMs);
  }

  /**
   * What is left out takes no sequence number, so the viewer misses nothing, and the decoder goes on with the next frame. It begins at
   * once, and ends at a keyframe.
   */
  #leavesOut(frame: PacketizedFrame | undefined, nowMs: number): boolean {
    if (!frame?.discardable) return false;
    this.#isHalved ||= this.#isScarce(nowMs);
    return this.#isHalved;
  }

  /** On a dead path only audio goes on, which shows when it is alive again; then the GOP so far brings the video back. */
  #watchSilence(nowMs: number): void {
    const isSilent = this.#sink.bandwidth.isSilent(nowMs);
    if (isSilent && !this.#isSilent) this.#abandon();
    if (!isSilent && this.#isSilent) this.#awaitsKeyframe = false;
    this.#isSilent = isSilent;
  }

  #abandon(): void {
    this.#sink.forgetVideo();
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#nextPacket = 0;
    this.#synced = false;
  }

  /** A clip that is gone on with in the middle of a GOP needs that GOP again: something else was decoded since. */
  #canGoOnWith({ clip, frame }: ScheduledFrame): boolean {
    if (frame % clip.gopFrames === 0) return true;
    return this.#last?.clip === clip && this.#last.frame === frame - 1;
  }

  /** RTP timestamps of a viewer's video only ever grow. */
  #push(frame: PacketizedFrame, ticks: number): void {
    const growing = Math.max(ticks, this.#lastTicks + 1);
    this.#queue.push({ frame, ticks: growing });
    this.#queuedBytes += wireBytes(frame);
    this.#lastTicks = growing;
  }
}

function gopStart({ clip, frame }: ScheduledFrame): number {
  return frame - (frame % clip.gopFrames);
}

function untilKeyframeMs({ clip, frame }: ScheduledFrame): number {
  return ((clip.gopFrames - (frame % clip.gopFrames)) * 1000 * clip.fps.den) / clip.fps.num;
}

function framesOf(
  { clip, frame }: ScheduledFrame,
  first: number,
  codec: Codec,
  rung: number,
): PacketizedFrame[] | undefined {
  const frames: PacketizedFrame[] = [];
  for (let i = first; i <= frame; i++) {
    const packetized = clip.frame(codec, i, rung);
    if (!packetized) return undefined;
    frames.push(packetized);
  }
  return frames;
}

/** @returns the frames of the GOP so far that decoding the frame takes; `undefined` when one is not in memory. */
function neededFrames(scheduled: ScheduledFrame, codec: Codec, rung: number): PacketizedFrame[] | undefined {
  const frames = framesOf(scheduled, gopStart(scheduled), codec, rung);
  return frames?.filter(({ discardable }, i) => !discardable || i === frames.length - 1);
}

/** @returns the rung itself if these frames of it are in memory, or else the next smaller, or else the next larger one that is. */
function inMemory(clip: Clip, codec: Codec, rung: number, first: number, last: number): number | undefined {
  const rungs = clip.rungs(codec).length;
  for (let i = rung; i < rungs; i++) if (clip.frame(codec, first, i) && clip.frame(codec, last, i)) return i;
  for (let i = rung - 1; i >= 0; i--) if (clip.frame(codec, first, i) && clip.frame(codec, last, i)) return i;
  return undefined;
}

/** What each rung's GOP takes, bits per second: of its real packets where they are in memory, or else as configured. */
function rungRates(clip: Clip, codec: Codec, frame: number): number[] {
  const first = frame - (frame % clip.gopFrames);
  return clip.rungs(codec).map(({ bitrateBps }, rung) => {
    let bytes = 0;
    let frames = 0;
    for (; frames < clip.gopFrames; frames++) {
      const packetized = clip.frame(codec, first + frames, rung);
      if (!packetized) break;
      bytes += wireBytes(packetized);
    }
    const isWhole = frames === clip.gopFrames || first + frames === clip.frames;
    return isWhole && frames > 0 ? (bytes * 8 * clip.fps.num) / (frames * clip.fps.den) : bitrateBps * 1.08;
  });
}

function packetBytes(frame: PacketizedFrame, packet: number): number {
  return (frame.payloads[packet]?.length ?? 0) + PACKET_OVERHEAD_BYTES;
}

function wireBytes(frame: PacketizedFrame): number {
  return frame.bytes + frame.payloads.length * PACKET_OVERHEAD_BYTES;
}

function bytesOf(frames: readonly PacketizedFrame[]): number {
  return frames.reduce((sum, frame) => sum + wireBytes(frame), 0);
}
