import type { Codec } from '@humancast/protocol';
import type { BandwidthEstimator } from '../congestion/bandwidth-estimator.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { REPAIR_SHARE, type RepairBudget } from '../rtp/repair-budget.js';
import type { ScheduledFrame } from './playout.js';

/**
 * Packets that leave at once, and the pause before the next ones: 24 Mb/s. A large keyframe is spread inside its frame's
 * time, and a viewer who joins in the middle catches up without flooding the path.
 */
const BURST_PACKETS = 10;
const PAUSE_MS = 4;
/** Frames that may wait for a slow path; beyond that, the feed starts anew at the next keyframe. */
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
  /** Repeats a packet of video only to probe the path. @returns its size in bytes; 0 if there is none. */
  sendPadding(): number;
}

interface Pending {
  readonly frame: PacketizedFrame;
  readonly ticks: number;
}

/** One viewer's video: starts at a keyframe, paces, and serves a stuck decoder from memory. */
export class VideoPacer {
  readonly codec: Codec;
  readonly #sink: VideoSink;
  readonly #queue: Pending[] = [];
  #nextPacket = 0;
  #sendAfterMs = 0;
  #burst = 0;
  /** Whether the decoder has everything since a keyframe. */
  #synced = false;
  /** Its decoder is stuck and the next keyframe is near: until then it is sent nothing. */
  #awaitsKeyframe = false;
  #answerAfterMs = Number.NEGATIVE_INFINITY;
  /** The frame that was queued last: the decoder can go on with what follows it. */
  #last: ScheduledFrame | undefined;
  #lastTicks = -1;

  constructor(codec: Codec, sink: VideoSink) {
    this.codec = codec;
    this.#sink = sink;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Queues a frame that is due. The viewer's first one brings along what its GOP had before. */
  show(scheduled: ScheduledFrame): void {
    if (this.#queue.length >= QUEUE_LIMIT) {
      this.#queue.length = 0;
      this.#nextPacket = 0;
      this.#synced = false;
    }
    const { clip, frame } = scheduled;
    if (this.#awaitsKeyframe && frame % clip.gopFrames !== 0) return;
    this.#awaitsKeyframe = false;
    const first = this.#synced && this.#canGoOnWith(scheduled) ? frame : gopStart(scheduled);
    this.#last = scheduled;
    const frames = framesOf(scheduled, first, this.codec);
    // Incomplete (no such rendition, or not in memory yet): the decoder would break, so it waits for the next keyframe.
    this.#synced = frames !== undefined;
    if (!frames) return;
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
   * The viewer asks for a keyframe. Where one is near, it is sent nothing until that; otherwise it gets the GOP so far
   * again, squeezed into the instants after the frame it saw last, so that it is back within a round trip. It gets it at most
   * once a second and within its budget, so that asking often neither costs much nor makes a congested path worse: the next
   * keyframe comes by itself.
   */
  recover(showing: ScheduledFrame | undefined, nowMs: number): void {
    if (!showing || this.#queue.length > 0 || this.#awaitsKeyframe || nowMs < this.#answerAfterMs) return;
    const { clip } = showing;
    const untilKeyframeMs = ((clip.gopFrames - (showing.frame % clip.gopFrames)) * 1000 * clip.fps.den) / clip.fps.num;
    if (untilKeyframeMs <= WAIT_FOR_KEYFRAME_MS) {
      this.#awaitsKeyframe = true;
    } else {
      const frames = framesOf(showing, gopStart(showing), this.codec);
      const bytes = frames?.reduce((sum, frame) => sum + frame.bytes, 0) ?? 0;
      // What is sent again earns credit as it is sent; it must not pay for itself.
      if (!frames || !this.#sink.repairs.spend(bytes * (1 + REPAIR_SHARE))) return;
      for (const frame of frames) this.#push(frame, this.#lastTicks + 1);
    }
    this.#answerAfterMs = nowMs + Math.max(ANSWER_INTERVAL_MS, 2 * (this.#sink.roundTripMs ?? 0));
  }

  /**
   * Sends what may leave now. What the connection refuses stays at the head of the queue: once media may leave again, the decoder
   * goes on with the very packet that it lacks, and needs no keyframe.
   * @returns when it wants to go on, monotonic ms; `undefined` when nothing waits, or nothing may leave.
   */
  pump(nowMs: number): number | undefined {
    if (nowMs >= this.#sendAfterMs) this.#burst = 0;
    for (let head = this.#queue[0]; head; head = this.#queue[0]) {
      const room = BURST_PACKETS - this.#burst;
      if (room <= 0) return this.#sendAfterMs;
      const packets = head.frame.payloads.length;
      const to = Math.min(this.#nextPacket + room, packets);
      const sent = this.#sink.sendVideo(head.frame, head.ticks, this.#nextPacket, to);
      const refused = sent < to - this.#nextPacket;
      this.#nextPacket += sent;
      this.#burst += sent;
      if (refused) return undefined;
      this.#sendAfterMs = nowMs + PAUSE_MS;
      if (to < packets) return this.#sendAfterMs;
      this.#nextPacket = 0;
      this.#queue.shift();
    }
    return undefined;
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
    this.#lastTicks = growing;
  }
}

function gopStart({ clip, frame }: ScheduledFrame): number {
  return frame - (frame % clip.gopFrames);
}

function framesOf({ clip, frame }: ScheduledFrame, first: number, codec: Codec): PacketizedFrame[] | undefined {
  const frames: PacketizedFrame[] = [];
  for (let i = first; i <= frame; i++) {
    const packetized = clip.frame(codec, i);
    if (!packetized) return undefined;
    frames.push(packetized);
  }
  return frames;
}
