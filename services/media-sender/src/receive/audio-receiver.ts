import { JitterBuffer, type NextPacket } from './jitter-buffer.js';
import { OpusDecoder } from './opus-decoder.js';
import { opusTicks } from './opus-packet.js';
import { Reception } from './reception.js';
import { unpackRed } from './red.js';
import type { RtpHeader } from './rtp-header.js';
import { Unwrap } from './unwrap.js';

/** Sample rate of what is heard, Hz: what speech recognition and voice activity detection take. */
export const HEARD_RATE = 16_000;
const TICKS_PER_SAMPLE = 48_000 / HEARD_RATE;
const TICKS_PER_MS = 48;
/** A frame of what is heard, 20 ms. */
export const HEARD_FRAME_SAMPLES = 320;
export const HEARD_FRAME_MS = 20;
const FRAME_TICKS = HEARD_FRAME_SAMPLES * TICKS_PER_SAMPLE;
/** Audio that is made up for lost packets, or filled in while the sender pauses (DTX), at most, ms; longer gaps stay gaps. */
const MOST_CONCEALED_TICKS = 120 * TICKS_PER_MS;
const MOST_FILLED_TICKS = 500 * TICKS_PER_MS;
/** Conceals in steps that Opus knows. */
const CONCEALED_STEP_TICKS = 120;
const MOST_STEP_TICKS = FRAME_TICKS;
/** Packets of one hole that count as lost, so that no sender can make the count absurd. */
const MOST_LOST = 1000;
/** Packets that are asked for at once. */
const MOST_REPEATED = 16;
/** Interval between requests for the same packets, ms. */
const REPEAT_INTERVAL_MS = 40;
/** Time over which the least delay of arrivals is sought, ms: long against bursts, short against the clocks' drift. */
const DELAY_WINDOW_MS = 5000;

/** 20 ms of a viewer's voice. */
export interface HeardFrame {
  /** {@link HEARD_FRAME_SAMPLES} at {@link HEARD_RATE}; valid during the call only. */
  readonly pcm: Int16Array;
  /** When its first sample left the viewer's microphone, plus the path's delay; monotonic ms. */
  readonly atMs: number;
  /** Whether part of it was made up. */
  readonly concealed: boolean;
  /** Audio that is missing before it, ms. */
  readonly gapMs: number;
}

export interface AudioReceiverOptions {
  readonly payloadType: number;
  readonly redPayloadType: number | undefined;
  /** Whether the viewer repeats packets (NACK). */
  readonly canRepeat: boolean;
  readonly onFrame: (frame: HeardFrame) => void;
  /** Asks the viewer for packets again. */
  readonly onMissing: (ssrc: number, sequences: readonly number[]) => void;
}

export interface AudioReceiverStats {
  packets: number;
  /** Packets that never came. */
  lost: number;
  /** Packets that came as another one's redundancy, or again. */
  repaired: number;
  /** Packets that came too late, or twice. */
  late: number;
  damaged: number;
  concealedMs: number;
}

/** Turns a viewer's RTP, decrypted, into frames of PCM in order: RED, jitter buffer, concealment and Opus. */
export class AudioReceiver {
  readonly #options: AudioReceiverOptions;
  readonly #decoder = new OpusDecoder(HEARD_RATE);
  readonly #buffer = new JitterBuffer();
  readonly #sequences = new Unwrap(16);
  readonly #ticks = new Unwrap(32);
  readonly #frame = new Int16Array(HEARD_FRAME_SAMPLES);
  readonly #delay = new LeastDelay();
  #reception: Reception | undefined;
  #filled = 0;
  /** Timestamp of the frame's first sample. */
  #frameTicks = 0;
  #isConcealed = false;
  #gapTicks = 0;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  readonly stats: AudioReceiverStats = { packets: 0, lost: 0, repaired: 0, late: 0, damaged: 0, concealedMs: 0 };

  constructor(options: AudioReceiverOptions) {
    this.#options = options;
  }

  /** The content of a receiver report; `undefined` until something was received. */
  get reception(): Reception | undefined {
    return this.#reception;
  }

  /**
   * @param payload Decrypted, without padding. Its memory is kept.
   * @param roundTripMs The path's round trip time, if known.
   */
  receive(header: RtpHeader, payload: Buffer, nowMs: number, roundTripMs: number | undefined): void {
    const sequence = this.#sequences.next(header.sequence);
    const ticks = this.#ticks.next(header.timestamp);
    this.stats.packets++;
    this.#reception ??= new Reception(header.ssrc, sequence);
    this.#reception.received(sequence, ticks, nowMs);
    const blocks =
      header.payloadType === this.#options.redPayloadType
        ? unpackRed(payload, this.#options.payloadType)
        : [{ data: payload, ageTicks: 0, agePackets: 0 }];
    if (!blocks) this.stats.damaged++;
    for (const { data, ageTicks, agePackets } of blocks ?? []) {
      this.#put(sequence - agePackets, ticks - ageTicks, data, nowMs, agePackets === 0);
    }
    this.#delay.arrived(nowMs - ticks / TICKS_PER_MS, nowMs);
    this.#ask(header.ssrc, nowMs, roundTripMs);
    this.poll(nowMs, roundTripMs);
  }

  /** Passes on what has waited long enough. To be called now and then while nothing arrives. */
  poll(nowMs: number, roundTripMs: number | undefined): void {
    for (;;) {
      const next = this.#buffer.take(nowMs, this.#waitMs(roundTripMs));
      if (!next) return;
      this.#play(next);
    }
  }

  #put(sequence: number, ticks: number, opus: Buffer, nowMs: number, isPrimary: boolean): void {
    const durationTicks = opusTicks(opus);
    // Nothing at all is how some senders pause.
    if (durationTicks === undefined) {
      if (opus.length > 0) this.stats.damaged++;
      return;
    }
    const isKept = this.#buffer.put({ sequence, ticks, durationTicks, opus }, nowMs);
    if (isKept && !isPrimary) this.stats.repaired++;
    if (!isKept && isPrimary) this.stats.late++;
  }

  #waitMs(roundTripMs = 0): number {
    return 2 * (this.#reception?.jitterMs ?? 0) + (this.#options.canRepeat ? roundTripMs : 0);
  }

  #ask(ssrc: number, nowMs: number, roundTripMs = 0): void {
    if (!this.#options.canRepeat || nowMs - this.#askedAtMs < Math.max(REPEAT_INTERVAL_MS, roundTripMs)) return;
    const missing = this.#buffer.missing(MOST_REPEATED);
    if (missing.length === 0) return;
    this.#askedAtMs = nowMs;
    this.#options.onMissing(
      ssrc,
      missing.map((sequence) => sequence % 65_536),
    );
  }

  #play({ packet, missingTicks, missingPackets }: NextPacket): void {
    this.stats.lost += Math.min(missingPackets, MOST_LOST);
    if (missingTicks > 0) this.#bridge(missingTicks, missingPackets > 0 ? packet.opus : undefined);
    if (this.#filled === 0) this.#frameTicks = packet.ticks;
    const pcm = this.#decoder.decode(packet.opus);
    if (pcm) this.#append(pcm, false);
    else {
      this.stats.damaged++;
      this.#conceal(packet.durationTicks);
    }
  }

  /** @param next The packet after a loss, which may repeat the one before; `undefined` after a pause of the sender. */
  #bridge(missingTicks: number, next: Buffer | undefined): void {
    if (missingTicks > (next ? MOST_CONCEALED_TICKS : MOST_FILLED_TICKS)) {
      this.#gapTicks += missingTicks;
      // What is left of the frame before is less than 20 ms.
      this.#filled = 0;
      return;
    }
    this.#conceal(missingTicks - (missingTicks % CONCEALED_STEP_TICKS), next);
  }

  #conceal(ticks: number, next?: Buffer): void {
    let left = ticks;
    while (left > 0) {
      const step = Math.min(left, MOST_STEP_TICKS);
      left -= step;
      const pcm = this.#decoder.conceal(step, left === 0 ? next : undefined);
      if (!pcm) return;
      this.stats.concealedMs += step / TICKS_PER_MS;
      this.#append(pcm, true);
    }
  }

  #append(pcm: Int16Array, isConcealed: boolean): void {
    let at = 0;
    while (at < pcm.length) {
      const count = Math.min(pcm.length - at, HEARD_FRAME_SAMPLES - this.#filled);
      this.#frame.set(pcm.subarray(at, at + count), this.#filled);
      this.#filled += count;
      this.#isConcealed ||= isConcealed;
      at += count;
      if (this.#filled === HEARD_FRAME_SAMPLES) this.#emit();
    }
  }

  #emit(): void {
    const atMs = this.#frameTicks / TICKS_PER_MS + this.#delay.ms - HEARD_FRAME_MS;
    const frame = { pcm: this.#frame, atMs, concealed: this.#isConcealed, gapMs: this.#gapTicks / TICKS_PER_MS };
    this.#filled = 0;
    this.#frameTicks += FRAME_TICKS;
    this.#isConcealed = false;
    this.#gapTicks = 0;
    this.#options.onFrame(frame);
  }
}

/**
 * The least difference between arrival and timestamp in the last 5 to 10 s: the offset between the two clocks plus the delay
 * of a packet that waited nowhere.
 */
class LeastDelay {
  #current = Number.POSITIVE_INFINITY;
  #previous = Number.POSITIVE_INFINITY;
  #sinceMs: number | undefined;

  get ms(): number {
    return Math.min(this.#current, this.#previous);
  }

  arrived(delayMs: number, nowMs: number): void {
    this.#sinceMs ??= nowMs;
    if (nowMs - this.#sinceMs > DELAY_WINDOW_MS) {
      this.#previous = this.#current;
      this.#current = Number.POSITIVE_INFINITY;
      this.#sinceMs = nowMs;
    }
    this.#current = Math.min(this.#current, delayMs);
  }
}
