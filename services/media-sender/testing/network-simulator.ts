import { seededRandom } from '@humancast/testkit';
import { BandwidthEstimator } from '../src/congestion/bandwidth-estimator.js';
import { LeakyBucket } from '../src/congestion/leaky-bucket.js';

const STEP_MS = 1;
const PACKET_BYTES = 1150;
const FRAME_MS = 1000 / 30;
const FEEDBACK_MS = 50;
const PACING = 1.5;

export interface LinkOptions {
  /** Rate at a time of the simulation, bits per second. */
  readonly rateBps: (nowMs: number) => number;
  readonly delayMs?: number;
  /** A packet that would wait longer is dropped. Default: 300. */
  readonly queueMs?: number;
  /** Drops packets from a standing queue, as CoDel (RFC 8289) does. */
  readonly codel?: boolean;
  /** Share of packets lost at random. */
  readonly loss?: number;
  /** Added to a packet's delay, without reordering. */
  readonly jitterMs?: (random: () => number) => number;
  readonly seed?: number;
}

/** A bottleneck with a queue, a rate, losses and a delay. */
export class Link {
  readonly random: () => number;
  readonly #options: LinkOptions;
  #busyUntilMs = 0;
  #lastArrivalMs = 0;
  #aboveSinceMs: number | undefined;
  #nextDropMs = 0;
  #drops = 0;
  /** Longest queueing delay since this was last set to 0. */
  longestQueueMs = 0;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.random = seededRandom(options.seed ?? 1);
  }

  rateBps(nowMs: number): number {
    return this.#options.rateBps(nowMs);
  }

  /** @returns When the packet arrives; `undefined` if it is lost. */
  send(bytes: number, nowMs: number): number | undefined {
    const { queueMs = 300, delayMs = 25, loss = 0, jitterMs } = this.#options;
    const waitMs = Math.max(0, this.#busyUntilMs - nowMs);
    const isFull = waitMs > queueMs;
    if (this.random() < loss || isFull || this.#isDroppedByCodel(waitMs, nowMs)) return undefined;
    this.longestQueueMs = Math.max(this.longestQueueMs, waitMs);
    this.#busyUntilMs = nowMs + waitMs + (bytes * 8000) / this.rateBps(nowMs);
    const arrivalMs = this.#busyUntilMs + delayMs + (jitterMs?.(this.random) ?? 0);
    this.#lastArrivalMs = Math.max(this.#lastArrivalMs, arrivalMs);
    return this.#lastArrivalMs;
  }

  #isDroppedByCodel(waitMs: number, nowMs: number): boolean {
    if (!this.#options.codel || waitMs < 5) {
      this.#aboveSinceMs = undefined;
      this.#drops = 0;
      return false;
    }
    this.#aboveSinceMs ??= nowMs;
    if (nowMs - this.#aboveSinceMs < 100 || nowMs < this.#nextDropMs) return false;
    this.#drops++;
    this.#nextDropMs = nowMs + 100 / Math.sqrt(this.#drops);
    return true;
  }
}

export interface SenderOptions {
  /** Bitrate of the media by the estimate, bits per second. Default: the estimate. */
  readonly mediaBps?: (targetBps: number) => number;
  /** Bitrate up to which the path is probed. */
  readonly wantedBps?: number;
  /** Feedback is held back and delivered at multiples of this (ACK compression). */
  readonly feedbackGridMs?: number;
  readonly startBps?: number;
}

interface InFlight {
  readonly sequence: number;
  readonly arrivalMs: number | undefined;
}

/** A sender of video and audio with the real estimator, and its receiver. */
export class SimulatedSender {
  readonly estimator: BandwidthEstimator;
  readonly #link: Link;
  readonly #options: SenderOptions;
  readonly #bucket = new LeakyBucket();
  readonly #queue: number[] = [];
  readonly #inFlight: InFlight[] = [];
  readonly #feedback: { readonly packet: Buffer; readonly atMs: number }[] = [];
  #nextFrameMs = 0;
  #nextAudioMs = 0;
  #nextFeedbackMs = FEEDBACK_MS;
  #frame = 0;
  sentBytes = 0;
  paddingBytes = 0;
  lost = 0;

  constructor(link: Link, options: SenderOptions = {}) {
    this.#link = link;
    this.#options = options;
    this.estimator = new BandwidthEstimator(options.startBps);
    this.estimator.want(options.wantedBps ?? 5_000_000);
  }

  step(nowMs: number): void {
    this.#takeFeedback(nowMs);
    const targetBps = this.estimator.targetBps(nowMs);
    if (nowMs >= this.#nextFrameMs) this.#encode(targetBps);
    if (nowMs >= this.#nextAudioMs) {
      this.#nextAudioMs += 20;
      this.#send(100, false, nowMs);
    }
    this.estimator.poll(nowMs);
    this.#pace(targetBps, nowMs);
    this.#giveFeedback(nowMs);
  }

  #encode(targetBps: number): void {
    this.#nextFrameMs += FRAME_MS;
    const mediaBps = (this.#options.mediaBps ?? ((bps) => bps))(targetBps) - 40_000;
    // A keyframe is as large as six other frames.
    const share = this.#frame++ % 30 === 0 ? 6 : 1;
    let bytes = (Math.max(mediaBps, 20_000) / 8 / 35) * share;
    for (; bytes > 0; bytes -= PACKET_BYTES) this.#queue.push(Math.ceil(Math.min(bytes, PACKET_BYTES)));
    // An encoder pauses while its packets are not sent.
    if (this.#queue.length > 2000) this.#queue.length = 0;
  }

  #pace(targetBps: number, nowMs: number): void {
    for (;;) {
      const probeBps = this.estimator.probeBps;
      if (this.#bucket.room(probeBps > 0 ? probeBps : targetBps * PACING, nowMs) <= 0) return;
      const bytes = this.#queue.shift();
      if (bytes === undefined && !this.estimator.wantsPadding) return;
      this.#bucket.spend(bytes ?? 800);
      this.#send(bytes ?? 800, bytes === undefined, nowMs);
    }
  }

  #send(bytes: number, padding: boolean, nowMs: number): void {
    const sequence = this.estimator.packetSent(bytes, padding, nowMs);
    const arrivalMs = this.#link.send(bytes, nowMs);
    this.#inFlight.push({ sequence, arrivalMs });
    this.sentBytes += bytes;
    if (padding) this.paddingBytes += bytes;
    if (arrivalMs === undefined) this.lost++;
  }

  #giveFeedback(nowMs: number): void {
    if (nowMs < this.#nextFeedbackMs) return;
    this.#nextFeedbackMs += FEEDBACK_MS;
    let covered = 0;
    for (const [i, { arrivalMs }] of this.#inFlight.entries()) {
      if (arrivalMs !== undefined && arrivalMs <= nowMs) covered = i + 1;
    }
    if (covered === 0) return;
    const packets = this.#inFlight.splice(0, covered);
    const packet = transportFeedback(packets.map(({ sequence, arrivalMs }) => [sequence, arrivalMs] as const));
    const grid = this.#options.feedbackGridMs ?? 1;
    this.#feedback.push({ packet, atMs: Math.ceil((nowMs + 25) / grid) * grid });
  }

  #takeFeedback(nowMs: number): void {
    for (let first = this.#feedback[0]; first && first.atMs <= nowMs; first = this.#feedback[0]) {
      this.#feedback.shift();
      this.estimator.transportFeedback(first.packet, nowMs);
    }
  }
}

/** A loss-driven flow: one more packet per round trip, half as many after a loss (RFC 5681). */
export class TcpFlow {
  readonly #link: Link;
  readonly #acks: { readonly atMs: number; readonly lost: boolean }[] = [];
  #window = 10;
  #inFlight = 0;
  #halvedAtMs = Number.NEGATIVE_INFINITY;

  constructor(link: Link) {
    this.#link = link;
  }

  step(nowMs: number): void {
    for (let first = this.#acks[0]; first && first.atMs <= nowMs; first = this.#acks[0]) {
      this.#acks.shift();
      this.#inFlight--;
      if (!first.lost) this.#window += 1 / this.#window;
      else if (nowMs - this.#halvedAtMs > 200) {
        this.#window = Math.max(2, this.#window / 2);
        this.#halvedAtMs = nowMs;
      }
    }
    for (; this.#inFlight < this.#window; this.#inFlight++) {
      const arrivalMs = this.#link.send(1200, nowMs);
      const lastMs = this.#acks.at(-1)?.atMs ?? 0;
      this.#acks.push({ atMs: Math.max((arrivalMs ?? nowMs + 50) + 25, lastMs), lost: arrivalMs === undefined });
    }
  }
}

/** Advances all of them, and calls back after each step. */
export function simulate(
  parts: readonly { step(nowMs: number): void }[],
  fromMs: number,
  untilMs: number,
  watch: (nowMs: number) => void = () => {},
): void {
  for (let nowMs = fromMs; nowMs < untilMs; nowMs += STEP_MS) {
    for (const part of parts) part.step(nowMs);
    watch(nowMs);
  }
}

/** A feedback message as a receiver writes it, with two-bit status vectors. @param packets In order, with arrivals in ms. */
export function transportFeedback(
  packets: readonly (readonly [sequence: number, arrivalMs: number | undefined])[],
): Buffer {
  const first = packets.find(([, arrivalMs]) => arrivalMs !== undefined)?.[1] ?? 0;
  const reference = Math.floor(first / 64);
  let ticks = reference * 256;
  const symbols: number[] = [];
  const deltas: number[] = [];
  for (const [, arrivalMs] of packets) {
    if (arrivalMs === undefined) {
      symbols.push(0);
      continue;
    }
    const delta = Math.round(arrivalMs * 4) - ticks;
    ticks += delta;
    const small = delta >= 0 && delta < 256;
    symbols.push(small ? 1 : 2);
    deltas.push(...(small ? [delta] : [(delta >> 8) & 0xff, delta & 0xff]));
  }
  const chunks: number[] = [];
  for (let i = 0; i < symbols.length; i += 7) {
    let chunk = 0xc000;
    for (let j = 0; j < 7; j++) chunk |= (symbols[i + j] ?? 0) << (12 - 2 * j);
    chunks.push(chunk >> 8, chunk & 0xff);
  }
  const body = Buffer.from([...chunks, ...deltas]);
  const packet = Buffer.alloc(20 + Math.ceil(body.length / 4) * 4);
  packet.writeUInt8(0x80 | 15, 0);
  packet.writeUInt8(205, 1);
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
  packet.writeUInt16BE(packets[0]?.[0] ?? 0, 12);
  packet.writeUInt16BE(packets.length, 14);
  packet.writeUIntBE(reference & 0xffffff, 16, 3);
  body.copy(packet, 20);
  return packet;
}
