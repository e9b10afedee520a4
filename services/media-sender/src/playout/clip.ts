import type { Codec, Rational, TextCue } from '@humancast/protocol';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';

/**
 * Whether a stretch of a clip can be played: it is in memory (`ready`), it is still to come (`late`), or it will never come
 * (`gone`: evicted, damaged, failed).
 */
export type Availability = 'ready' | 'late' | 'gone';

/** A rendition of a codec, as a rung of the codec's bitrate ladder. */
export interface Rung {
  /** Configured bitrate; the size of frames varies. */
  readonly bitrateBps: number;
}

/** @returns The rung with this number, or the last one. */
export function rungAt<R extends Rung>(rungs: readonly R[], rung: number): R | undefined {
  return rungs[Math.min(rung, rungs.length - 1)];
}

/** A segment as playout uses it. All positions are media-clock samples (48 kHz) from the clip's start. */
export interface Clip {
  readonly segment: string;
  readonly role: 'idle' | 'speech';
  readonly fps: Rational;
  readonly frames: number;
  /** An even number. */
  readonly durationSamples: number;
  /** Frames per GOP; every GOP starts with a keyframe. */
  readonly gopFrames: number;
  /** Frames before which the clip may be left, besides at its end. */
  readonly markFrames: readonly number[];
  /** The text that is spoken in it, in order. Default: unknown. */
  readonly text?: readonly TextCue[] | undefined;
  /** @returns The state of a stretch of both tracks together. */
  availability(fromSamples: number, toSamples: number): Availability;
  /** Copies PCM (24 kHz) from an even position into `out[at … at + count)`, and zeros where the clip has none. */
  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void;
  /** @returns The renditions of a codec, the largest bitrate first; empty if the clip lacks the codec. */
  rungs(codec: Codec): readonly Rung[];
  /**
   * @param rung Index into {@link rungs}; beyond the last one it is the last one. Default: 0.
   * @returns `undefined` if there is no such rendition or its frame is not in memory.
   */
  frame(codec: Codec, frame: number, rung?: number): PacketizedFrame | undefined;
  /** @returns How much is in memory from a position on without a gap, media-clock samples. */
  readySamples(fromSamples: number): number;
  /** Announces the playback position: media after it is fetched, media before it may be released. */
  follow(positionSamples: number): void;
  /** Releases the clip; it is not used again. */
  release(): void;
}
