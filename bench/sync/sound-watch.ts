/// <reference lib="dom" />
import { OnsetDetector } from '../lib/onset.ts';
import { fitLine, type Point } from '../lib/stats.ts';

const TONE_HZ = 1000;
const MAP_INTERVAL_MS = 100;
/** The clocks are compared over so much time on both sides of a beep. */
const MAP_WINDOW_S = 5;

/**
 * Hears the beeps of a stream. Samples come through Web Audio on the context's own clock; `getOutputTimestamp` says which
 * `performance` time that clock stood for when, with some jitter, so a line is fitted through its answers around each beep.
 *
 * The way through Web Audio has a delay of its own, which is not known and is constant: what is measured so is good for
 * spread and drift, not for the absolute offset between picture and voice.
 */
export class SoundWatch {
  readonly #context: AudioContext;
  readonly #detector: OnsetDetector;
  /** Context time, s. */
  readonly #onsets: number[] = [];
  /** Context time, s → performance time, ms. */
  readonly #map: Point[] = [];

  static async open(stream: MediaStream): Promise<SoundWatch> {
    const context = new AudioContext({ sampleRate: 48_000 });
    await context.audioWorklet.addModule('/bench/sync/sample-tap.ts');
    return new SoundWatch(context, stream);
  }

  private constructor(context: AudioContext, stream: MediaStream) {
    this.#context = context;
    this.#detector = new OnsetDetector({ sampleRate: context.sampleRate, toneHz: TONE_HZ });
    const tap = new AudioWorkletNode(context, 'sample-tap', { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }: MessageEvent<{ frame: number; samples: Float32Array }>) => {
      const onsets = this.#detector.push(data.frame, data.samples);
      this.#onsets.push(...onsets.map((frame) => frame / context.sampleRate));
    };
    context.createMediaStreamSource(stream).connect(tap);
    setInterval(() => this.#compareClocks(), MAP_INTERVAL_MS);
  }

  /** Performance times of the beeps so far. */
  beepsMs(): number[] {
    return this.#onsets.map((onset) => {
      const near = this.#map.filter(({ x }) => Math.abs(x - onset) <= MAP_WINDOW_S);
      const { slope, intercept } = fitLine(near.map(({ x, y }) => ({ x: x - onset, y })));
      return Number.isFinite(slope) ? intercept : Number.NaN;
    });
  }

  #compareClocks(): void {
    const { contextTime, performanceTime } = this.#context.getOutputTimestamp();
    if (contextTime !== undefined && performanceTime !== undefined && contextTime > 0) {
      this.#map.push({ x: contextTime, y: performanceTime });
    }
  }
}
