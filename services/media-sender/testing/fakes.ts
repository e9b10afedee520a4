import type { Codec, Rational } from '@humancast/protocol';
import type { Clock } from '@humancast/shared';
import type { Availability, Clip, Rung } from '../src/playout/clip.js';
import type { Timers } from '../src/playout/scheduler.js';
import type { PacketizedFrame } from '../src/rtp/packetized-frame.js';

export interface FakeClipOptions {
  segment: string;
  role?: 'idle' | 'speech';
  fps?: Rational;
  frames: number;
  /** PCM samples; audio and video may differ in length. Default: the video's length. */
  pcmSamples?: number;
  gopFrames?: number;
  markFrames?: readonly number[];
  /** PCM sample at an index; default: {@link markedSample}. */
  sample?: (index: number) => number;
  /** Availability of a stretch. Default: always `ready`. */
  available?: (fromSamples: number, toSamples: number) => Availability;
}

/** @returns A sample that is never 0 and differs from its neighbors, so that it encodes its position in the clip. */
export function markedSample(index: number): number {
  return 1 + (index % 32_000);
}

/** A clip whose audio encodes sample positions, so that tests can compare what is heard and seen. */
export class FakeClip implements Clip {
  readonly segment: string;
  readonly role: 'idle' | 'speech';
  readonly fps: Rational;
  readonly frames: number;
  readonly pcmSamples: number;
  readonly durationSamples: number;
  readonly gopFrames: number;
  readonly markFrames: readonly number[];
  readonly #sample: (index: number) => number;
  readonly #available: (fromSamples: number, toSamples: number) => Availability;
  released = 0;

  constructor(options: FakeClipOptions) {
    this.segment = options.segment;
    this.role = options.role ?? 'speech';
    this.fps = options.fps ?? { num: 30, den: 1 };
    this.frames = options.frames;
    const videoSamples = Math.ceil((this.frames * 24_000 * this.fps.den) / this.fps.num);
    this.pcmSamples = options.pcmSamples ?? videoSamples;
    this.durationSamples = 2 * Math.max(videoSamples, this.pcmSamples);
    this.gopFrames = options.gopFrames ?? Math.max(1, Math.round(this.fps.num / this.fps.den));
    this.markFrames = options.markFrames ?? [];
    this.#sample = options.sample ?? markedSample;
    this.#available = options.available ?? (() => 'ready');
  }

  availability(fromSamples: number, toSamples: number): Availability {
    return this.#available(fromSamples, toSamples);
  }

  readPcm(fromSamples: number, out: Int16Array, at: number, count: number): void {
    for (let i = 0; i < count; i++) {
      const index = fromSamples / 2 + i;
      out[at + i] = index < this.pcmSamples ? this.#sample(index) : 0;
    }
  }

  rungs(): readonly Rung[] {
    return [{ bitrateBps: 1_500_000 }];
  }

  frame(_codec: Codec, frame: number): PacketizedFrame | undefined {
    return {
      payloads: [Buffer.from([frame & 255, ...Buffer.from(this.segment)])],
      keyframe: frame % this.gopFrames === 0,
      bytes: 1,
    };
  }

  readySamples(fromSamples: number): number {
    return this.durationSamples - fromSamples;
  }

  follow(_positionSamples: number): void {}

  release(): void {
    this.released++;
  }
}

/** A clock that tests advance, in fractions of a millisecond, with Node's whole-millisecond timers. */
export class FakeTime implements Clock, Timers {
  now = 0.3;
  #timers: { at: number; callback: () => void }[] = [];

  nowMs = () => this.now;
  /** Tests may step it, as NTP does. */
  wallOffsetMs = 1_700_000_000_000;
  wallMs = () => this.now + this.wallOffsetMs;

  set(callback: () => void, delayMs: number): unknown {
    const timer = { at: this.now + Math.max(1, Math.trunc(delayMs)), callback };
    this.#timers.push(timer);
    return timer;
  }

  clear(handle: unknown): void {
    this.#timers = this.#timers.filter((timer) => timer !== handle);
  }

  get pending(): number {
    return this.#timers.length;
  }

  advance(ms: number): void {
    const until = this.now + ms;
    for (;;) {
      const next = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (!next) break;
      this.clear(next);
      this.now = Math.max(this.now, next.at);
      next.callback();
    }
    this.now = until;
  }
}
