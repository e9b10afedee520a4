import { CLOCK_RATE, type Clock, VIDEO_CLOCK_RATE } from '@humancast/shared';

/** Seconds from the NTP epoch (1900) to the Unix epoch (RFC 5905 §6). */
const NTP_UNIX_OFFSET_SECONDS = 2_208_988_800n;
const SAMPLES_PER_MS = CLOCK_RATE / 1000;
/** Video ticks per media-clock sample, 15/8: positions that are multiples of 8 samples are whole ticks. */
const VIDEO_TICKS_PER_SAMPLE = VIDEO_CLOCK_RATE / CLOCK_RATE;
const EXACT_GRID_SAMPLES = 8;

/** An instant as both sender reports state it: in NTP time and on each RTP clock (RFC 3550 §6.4.1). */
export interface ReportInstant {
  /** 32.32 fixed point. */
  readonly ntp: bigint;
  readonly videoTicks: number;
  readonly audioTicks: number;
}

/**
 * A session's media clock: positions in 48 kHz samples since the anchor. The anchor pairs one monotonic instant with one NTP
 * instant, once. Later steps of the wall clock change nothing, and the RTP timestamps and sender reports of both tracks
 * derive from it.
 */
export class Timeline {
  /** Monotonic ms at which the position is zero. */
  readonly anchorMs: number;
  readonly #anchorWallMs: number;
  readonly #anchorNtp: bigint;

  constructor(anchorMs: number, anchorWallMs: number) {
    this.anchorMs = anchorMs;
    this.#anchorWallMs = anchorWallMs;
    this.#anchorNtp = toNtp(anchorWallMs);
  }

  /** Creates a timeline anchored at a monotonic instant, now or soon. */
  static anchoredAt(anchorMs: number, clock: Clock): Timeline {
    return new Timeline(anchorMs, clock.wallMs() + (anchorMs - clock.nowMs()));
  }

  /** @returns The same timeline, this much later. */
  movedBy(deltaMs: number): Timeline {
    return new Timeline(this.anchorMs + deltaMs, this.#anchorWallMs + deltaMs);
  }

  /** @returns The position at an instant, fractional samples. */
  positionAt(nowMs: number): number {
    return (nowMs - this.anchorMs) * SAMPLES_PER_MS;
  }

  /** @returns The monotonic ms at which a position is due. */
  dueMs(positionSamples: number): number {
    return this.anchorMs + positionSamples / SAMPLES_PER_MS;
  }

  /**
   * @returns The report for an instant, rounded down to where both RTP clocks have whole ticks, so that all three values
   * agree exactly.
   */
  reportAt(nowMs: number): ReportInstant {
    const samples = Math.floor(this.positionAt(nowMs) / EXACT_GRID_SAMPLES) * EXACT_GRID_SAMPLES;
    return { ntp: this.ntpAt(samples), videoTicks: samples * VIDEO_TICKS_PER_SAMPLE, audioTicks: samples };
  }

  /** @returns The NTP time of a whole position, 32.32 fixed point (RFC 5905 §6). */
  ntpAt(positionSamples: number): bigint {
    return BigInt.asUintN(64, this.#anchorNtp + (BigInt(positionSamples) << 32n) / BigInt(CLOCK_RATE));
  }
}

/**
 * @returns The RTP timestamp of a frame of a clip that starts at a whole position, 90 kHz ticks. The clip's start is exact
 * in binary (eighths of a tick) and the frame's offset is one division, so that only the result is rounded, to the nearest
 * tick.
 */
export function frameTicks(startSamples: number, frame: number, fps: { num: number; den: number }): number {
  return Math.round(startSamples * VIDEO_TICKS_PER_SAMPLE + (frame * VIDEO_CLOCK_RATE * fps.den) / fps.num);
}

/** @returns The offset of a frame from its clip's start, fractional samples. */
export function frameOffsetSamples(frame: number, fps: { num: number; den: number }): number {
  return (frame * CLOCK_RATE * fps.den) / fps.num;
}

/** @returns The first frame that is due at or after an offset from the clip's start. */
export function frameAtOrAfter(offsetSamples: number, fps: { num: number; den: number }): number {
  const frame = Math.floor((offsetSamples * fps.num) / (CLOCK_RATE * fps.den));
  return frameOffsetSamples(frame, fps) >= offsetSamples ? frame : frame + 1;
}

function toNtp(wallMs: number): bigint {
  const micros = BigInt(Math.round(wallMs * 1000));
  return (NTP_UNIX_OFFSET_SECONDS << 32n) + (micros << 32n) / 1_000_000n;
}
