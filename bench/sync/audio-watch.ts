/// <reference lib="dom" />
import { OnsetDetector } from '../lib/onset.ts';
import { fitLine, median, type Point } from '../lib/stats.ts';

const TONE_HZ = 1000;
/** Time on both sides of a beep over which the clocks are compared. */
const MAP_WINDOW_S = 5;
/** Time for which the page may be busy without losing a 10 ms chunk. */
const BUFFERED_PIECES = 1000;
const PIECES_FOR_OFFSET = 200;

/**
 * Supported by Chromium, missing in TypeScript's library (https://w3c.github.io/mediacapture-transform/, which defines it
 * for workers).
 */
declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack; maxBufferSize: number });
  readonly readable: ReadableStream<AudioData>;
}

/**
 * Detects the beeps of a stream in the samples that the browser's output takes from its jitter buffer. Counting samples
 * gives the output's clock exactly; a line fitted through the chunks' own times around each beep maps it to `performance`
 * time, because the output takes chunks in bursts.
 *
 * Web Audio is unsuitable: the buffer between the stream and its graph drops or repeats a block whenever the two drift past
 * each other, which shifts the result by 10 ms each time.
 *
 * The delay from there to a loudspeaker is unknown and constant, so the result is valid for spread and drift, not for the
 * absolute offset between video and audio.
 */
export class AudioWatch {
  #detector: OnsetDetector | undefined;
  #sampleRate = 0;
  #frames = 0;
  /** Times of the beeps on the output's clock, s. */
  readonly #onsets: number[] = [];
  /** Maps the output's clock, s, to the chunk's own time, ms. */
  readonly #map: Point[] = [];
  /** Offset of a chunk's own time from `performance` time at its arrival, ms. */
  readonly #offsets: number[] = [];

  static open(stream: MediaStream): AudioWatch {
    const [track] = stream.getAudioTracks();
    if (!track) throw new Error('the stream has no audio');
    const watch = new AudioWatch();
    void watch.#listen(new MediaStreamTrackProcessor({ track, maxBufferSize: BUFFERED_PIECES }).readable);
    return watch;
  }

  /** Performance times of the beeps so far. */
  beepsMs(): number[] {
    const offsetMs = median(this.#offsets);
    return this.#onsets.map((onset) => {
      const near = this.#map.filter(({ x }) => Math.abs(x - onset) <= MAP_WINDOW_S);
      const { slope, intercept } = fitLine(near.map(({ x, y }) => ({ x: x - onset, y })));
      return Number.isFinite(slope) ? intercept + offsetMs : Number.NaN;
    });
  }

  async #listen(pieces: ReadableStream<AudioData>): Promise<void> {
    const reader = pieces.getReader();
    for (let piece = await reader.read(); !piece.done; piece = await reader.read()) this.#measure(piece.value);
  }

  #measure(piece: AudioData): void {
    const { sampleRate, numberOfFrames, timestamp } = piece;
    if (sampleRate !== this.#sampleRate) {
      // The format is unknown before the first packet.
      this.#detector = new OnsetDetector({ sampleRate, toneHz: TONE_HZ });
      this.#sampleRate = sampleRate;
      this.#frames = 0;
      this.#map.length = 0;
      this.#onsets.length = 0;
    }
    if (this.#offsets.length < PIECES_FOR_OFFSET) this.#offsets.push(performance.now() - timestamp / 1000);
    this.#map.push({ x: this.#frames / sampleRate, y: timestamp / 1000 });
    const samples = new Float32Array(numberOfFrames);
    piece.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
    piece.close();
    const onsets = this.#detector?.push(this.#frames, samples) ?? [];
    this.#onsets.push(...onsets.map((frame) => frame / sampleRate));
    this.#frames += numberOfFrames;
  }
}
