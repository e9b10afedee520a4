import type { Codec, Rational } from '@humancast/protocol';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';

/**
 * Whether a stretch of a clip can be played: it is in memory (`ready`), it will be (`late`), or it will never come
 * (`gone`: evicted, damaged, failed).
 */
export type Availability = 'ready' | 'late' | 'gone';

/** A rendition of a codec. */
export interface Rung {
  /** As configured; what frames take varies. */
  readonly bitrateBps: number;
}

/** @returns the rung of that number, or the last one. */
export function rungAt<R extends Rung>(rungs: readonly R[], rung: number): R | undefined {
  return rungs[Math.min(rung, rungs.length - 1)];
}

/** What the playout needs of a segment. All positions are media-clock samples from the clip's start. */
export interface Clip {
  readonly segment: string;
  readonly role: 'idle' | 'speech';
  readonly fps: Rational;
  readonly frames: number;
  /** Even. */
  readonly durationSamples: number;
  /** Frames per GOP; every GOP starts with a keyframe. */
  readonly gopFrames: number;
  /** Frames at which the clip may be left, besides its end. */
  readonly markFrames: readonly number[];
  /** Of both tracks together. */
  availability(fromSamples: number, toSamples: number): Availability;
  /**
   * Writes PCM (24 kHz) from an even position into `out[at … at + count)`; zeros where there is none.
   */
  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void;
  /** The renditions of a codec, the largest bitrate first; none if the clip has no such codec. */
  rungs(codec: Codec): readonly Rung[];
  /**
   * @param rung of {@link rungs}; beyond the last one it is the last one. Default: 0.
   * @returns `undefined` when there is no such rendition, or it is not in memory.
   */
  frame(codec: Codec, frame: number, rung?: number): PacketizedFrame | undefined;
  /** How much is in memory from a position on, without a gap. */
  readySamples(fromSamples: number): number;
  /** Playback is at this position: what comes next is fetched, what lies behind is let go. */
  follow(positionSamples: number): void;
  /** No longer needed. */
  release(): void;
}
