import type { Codec } from '@humancast/protocol';
import type { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import { LeakyBucket } from '../congestion/leaky-bucket.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { REPAIR_SHARE, type RepairBudget } from '../rtp/repair-budget.js';
import type { Clip } from './clip.js';
import type { ScheduledFrame } from './playout.js';
import type { RenditionDemand } from './rendition-demand.js';
import { RungAllocator } from './rung-allocator.js';

/** Packets are sent at this multiple of the estimate, so that a keyframe is spread and fills no queue on the path. */
const PACING = 1.5;
/** Minimum pacing rate unless the path is known to be narrow, so that the first video does not wait for an estimate. */
const UNCONSTRAINED_PACING_BPS = 8_000_000;
/**
 * Multiple of the largest rung up to which the path is probed, so that a keyframe can be sent within about a frame's time.
 */
const WANTED_FACTOR = 4;
/** Bytes of a packet on the network besides its payload. */
const PACKET_OVERHEAD_BYTES = 68;
/**
 * Maximum size of the GOP so far that is sent to a viewer who joins within it, bytes; above it, a smaller rung shows video
 * sooner.
 */
const CATCH_UP_BYTES = 24_000;
/** Maximum queueing time of frames, ms, after which they are useless. */
const MAX_QUEUE_MS = 250;
/**
 * Share of a rung's bitrate below which the estimate counts as collapsed, so that the rung changes before the next keyframe.
 */
const COLLAPSED_SHARE = 0.7;
/** Maximum number of queued frames; above it, sending restarts at the next keyframe. */
const QUEUE_LIMIT = 300;
/** Time within which the next regular keyframe must be due to answer a keyframe request, ms. */
const WAIT_FOR_KEYFRAME_MS = 120;
/** Minimum interval between answers to keyframe requests, ms, or two round trips if that is longer. */
const ANSWER_INTERVAL_MS = 1000;

/** A viewer's connection as the pacer uses it. */
export interface VideoSink {
  /**
   * Sends the packets of a frame from `fromPacket` up to, not including, `toPacket`. Default: all.
   * @returns The number of packets sent: fewer than given if media may not be sent now. The others have used no sequence
   * number, so a viewer that receives them later misses nothing.
   */
  sendVideo(frame: PacketizedFrame, rtpTicks: number, fromPacket?: number, toPacket?: number): number;
  /** Budget for retransmissions at the viewer's request. */
  readonly repairs: RepairBudget;
  readonly roundTripMs: number | undefined;
  /** Bandwidth estimate of the viewer's path. */
  readonly bandwidth: BandwidthEstimator;
  /** Bitrate of audio with its redundancy, which has priority; 0 if the estimate does not include audio. */
  readonly audioBps: number;
  /** Stops retransmission of the video sent so far, because something else replaces it. */
  forgetVideo(): void;
  /** Repeats a video packet to probe the path. @returns Its size in bytes; 0 if there is none. */
  sendPadding(): number;
}

interface Pending {
  readonly frame: PacketizedFrame;
  readonly ticks: number;
}

/**
 * Sends one viewer's video: starts at a keyframe, chooses the rendition at each keyframe by the path's bandwidth, drops
 * frames that do not fit, paces, and answers keyframe requests from memory.
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
  /** The rung that is sent. */
  #rung = 0;
  /** Bitrate of that rung, bits per second. */
  #rungBps = 0;
  /** Whether discardable frames are dropped because even the smallest rung does not fit. */
  #isHalved = false;
  /** Credit of bytes for frames while even the smallest rung does not fit. */
  #creditBytes = 0;
  #creditAtMs: number | undefined;
  /** Whether everything since a keyframe has been sent. */
  #synced = false;
  /** Whether frames are dropped until the next keyframe. */
  #awaitsKeyframe = false;
  /** Whether the rung that fits is not in memory yet. */
  #awaitsRung = false;
  /** Whether the viewer acknowledges nothing of what was sent, so that no video is sent. */
  #isSilent = false;
  #answerAfterMs = Number.NEGATIVE_INFINITY;
  /** The frame that was shown last, after which the decoder can continue. */
  #last: ScheduledFrame | undefined;
  #lastTicks = -1;

  constructor(codec: Codec, sink: VideoSink, demand?: RenditionDemand) {
    this.codec = codec;
    this.#sink = sink;
    this.#demand = demand;
  }

  /** Number of frames waiting to be sent. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Index of the sent rendition in the codec's ladder; 0 is the largest. */
  get rung(): number {
    return Math.min(this.#rung, this.#lastRung);
  }

  /** Number of rungs of the clip that is shown. */
  get rungs(): number {
    return this.#lastRung + 1;
  }

  /** Queues a frame that is due. For the first one of a viewer, the frames before it in its GOP are queued, too. */
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
    const continues = this.#synced && this.#continues(scheduled);
    if (!continues && !isKeyframe) this.#allocateCatchUp(scheduled, nowMs);
    if (this.#awaitsKeyframe || this.#awaitsRung) {
      this.#synced = false;
      return;
    }
    const frames = continues
      ? framesOf(scheduled, frame, this.codec, this.#rung)
      : neededFrames(scheduled, this.codec, this.#rung);
    this.#last = scheduled;
    if (continues && this.#drops(frames?.[0], nowMs)) return;
    // Frames that are missing (no such rendition, or not in memory yet) would break decoding, so it waits for a keyframe.
    this.#synced = frames !== undefined && this.#spend(frames, nowMs);
    if (!frames || !this.#synced) return;
    for (let i = 0; i < frames.length; i++) {
      // Earlier frames of the GOP get timestamps in the past, one frame's time apart: they are decoded but not shown.
      const back = frames.length - 1 - i;
      this.#push(
        frames[i] as PacketizedFrame,
        scheduled.ticks - Math.round((back * 90_000 * clip.fps.den) / clip.fps.num),
      );
    }
  }

  /**
   * Answers a viewer's keyframe request. If a regular keyframe is due soon, or before the GOP so far could be sent again,
   * nothing is sent until then. Otherwise the GOP so far is sent again with timestamps right after the last frame, so that
   * the decoder recovers within a round trip. This happens at most once a second and within the repair budget, so that
   * frequent requests neither cost much nor make a congested path worse.
   */
  recover(showing: ScheduledFrame | undefined, nowMs: number): void {
    if (!showing || this.#queue.length > 0 || this.#awaitsKeyframe || nowMs < this.#answerAfterMs) return;
    const frames = neededFrames(showing, this.codec, this.#rung);
    const bytes = frames ? bytesOf(frames) : 0;
    if (untilKeyframeMs(showing) <= Math.max(WAIT_FOR_KEYFRAME_MS, this.#sendMs(bytes, nowMs))) {
      this.#awaitsKeyframe = true;
    } else {
      // Repeated frames earn repair credit as they are sent, but must not pay for themselves.
      if (!frames || !this.#sink.repairs.spend(bytes * (1 + REPAIR_SHARE))) return;
      this.#sink.forgetVideo();
      for (const frame of frames) this.#push(frame, this.#lastTicks + 1);
    }
    this.#answerAfterMs = nowMs + Math.max(ANSWER_INTERVAL_MS, 2 * (this.#sink.roundTripMs ?? 0));
  }

  /** Withdraws this viewer's demand for renditions. */
  close(): void {
    this.#demand?.delete(this);
  }

  /**
   * Sends what the pacing rate allows. Packets that may not be sent now stay at the head of the queue, so that the decoder
   * later continues with the next packet and needs no keyframe.
   * @returns When to call again, monotonic ms; `undefined` if nothing waits or nothing may be sent.
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
   * Sends packets of the frame at the head of the queue, as many as fit into `room` bytes, and at least one.
   * @returns Their size on the network in bytes; 0 if none was taken.
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

  /** Chooses the largest rung that fits, at a keyframe. */
  #allocate({ clip, frame }: ScheduledFrame, nowMs: number): void {
    const rates = rungRates(clip, this.codec, frame);
    const wanted = this.#allocator.choose(rates, this.#budgetBps(nowMs), nowMs);
    this.#use(inMemory(clip, this.codec, wanted, frame, frame) ?? wanted, rates, wanted);
    this.#isHalved = this.#isScarce(nowMs);
  }

  /** Chooses, within a GOP, the largest rung that fits and whose GOP so far is not too large. */
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

  /** The estimate has collapsed within a GOP: drops queued frames and continues the GOP in a rung that fits. */
  #lower(scheduled: ScheduledFrame, nowMs: number): void {
    const rates = rungRates(scheduled.clip, this.codec, scheduled.frame);
    const rung = this.#allocator.choose(rates, this.#budgetBps(nowMs), nowMs);
    this.#abandon();
    if (rung <= this.#rung) this.#awaitsKeyframe = true;
  }

  #use(rung: number, rates: readonly number[], wanted: number): void {
    const { bandwidth } = this.#sink;
    bandwidth.want((rates[0] ?? 0) * WANTED_FACTOR + this.#sink.audioBps);
    // On a narrow path the next smaller rung may be needed at any time.
    this.#demand?.set(this, this.codec, bandwidth.isConstrained ? [rung, wanted, wanted + 1] : [rung, wanted]);
    // Repairs of a larger rung would take what the path has just lost.
    if (rung > this.#rung) this.#sink.forgetVideo();
    this.#rung = rung;
    this.#rungBps = rates[rung] ?? 0;
    // A rung that is too large is worse than none, so video waits until the demanded one is in memory.
    this.#awaitsRung = bandwidth.isConstrained && rung < wanted;
  }

  #isOverloaded(nowMs: number): boolean {
    if (!this.#sink.bandwidth.isConstrained) return false;
    if (this.#sendMs(this.#queuedBytes, nowMs) > MAX_QUEUE_MS) return true;
    return this.#rung < this.#lastRung && this.#budgetBps(nowMs) < COLLAPSED_SHARE * this.#rungBps;
  }

  /** The smallest rung of the clip that is shown. */
  get #lastRung(): number {
    return (this.#last?.clip.rungs(this.codec).length ?? 1) - 1;
  }

  /** Bitrate for video, after audio and the expected retransmissions. */
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
    // A second's worth, or enough for the next keyframe.
    this.#creditBytes = Math.min(
      this.#creditBytes + (budgetBps * elapsedMs) / 8000,
      Math.max(budgetBps / 8, CATCH_UP_BYTES),
    );
  }

  /**
   * Drops frames while even the smallest rung does not fit: first discardable ones, then the end of each GOP, then whole
   * GOPs.
   * @returns Whether these frames may be sent.
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
   * Decides whether to drop a discardable frame. It uses no sequence number, so the viewer misses nothing, and the decoder
   * continues with the next frame. Dropping starts at once and ends at a keyframe.
   */
  #drops(frame: PacketizedFrame | undefined, nowMs: number): boolean {
    if (!frame?.discardable) return false;
    this.#isHalved ||= this.#isScarce(nowMs);
    return this.#isHalved;
  }

  /**
   * Stops video on a dead path. Audio continues, which shows when the path is alive again; then the GOP so far restores
   * video.
   */
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

  /** A clip that is resumed within a GOP needs that GOP again, because something else was decoded since. */
  #continues({ clip, frame }: ScheduledFrame): boolean {
    if (frame % clip.gopFrames === 0) return true;
    // A follower continues a segment of its stand-in, or of the previous host, in another clip.
    return this.#last?.clip.segment === clip.segment && this.#last.frame === frame - 1;
  }

  /** A viewer's video RTP timestamps only ever increase. */
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

/** @returns The frames required to decode this one, from its GOP's start; `undefined` if one is not in memory. */
function neededFrames(scheduled: ScheduledFrame, codec: Codec, rung: number): PacketizedFrame[] | undefined {
  const frames = framesOf(scheduled, gopStart(scheduled), codec, rung);
  return frames?.filter(({ discardable }, i) => !discardable || i === frames.length - 1);
}

/**
 * @returns The rung itself if these frames of it are in memory, else the next smaller, else the next larger one that has
 * them.
 */
function inMemory(clip: Clip, codec: Codec, rung: number, first: number, last: number): number | undefined {
  const rungs = clip.rungs(codec).length;
  for (let i = rung; i < rungs; i++) if (clip.frame(codec, first, i) && clip.frame(codec, last, i)) return i;
  for (let i = rung - 1; i >= 0; i--) if (clip.frame(codec, first, i) && clip.frame(codec, last, i)) return i;
  return undefined;
}

/**
 * @returns The bitrate of each rung's GOP, bits per second: that of its packets if they are in memory, else the configured
 * one.
 */
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
