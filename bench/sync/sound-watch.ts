/// <reference lib="dom" />
import { OnsetDetector } from '../lib/onset.ts';
import { fitLine, median, type Point } from '../lib/stats.ts';

const TONE_HZ = 1000;
/** The clocks are compared over so much time on both sides of a beep. */
const MAP_WINDOW_S = 5;
/** Pieces of 10 ms; so long may the page be busy without losing one. */
const BUFFERED_PIECES = 1000;
const PIECES_FOR_OFFSET = 200;

/** Chromium has it, TypeScript's library doesn't (https://w3c.github.io/mediacapture-transform/, there for workers only). */
declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack; maxBufferSize: number });
  readonly readable: ReadableStream<AudioData>;
}

/**
 * Hears the beeps of a stream, in the samples that the browser's output takes out of its jitter buffer. Samples are counted, so the
 * output's clock is known exactly; which `performance` time it stood for when is a line fitted through the pieces' own
 * times around each beep, for the output takes them in bursts.
 *
 * Web Audio would not do: between the stream and its graph is a buffer that drops or repeats a block whenever the two run
 * past each other, and each time what is heard there moves by 10 ms against what is played.
 *
 * From there to a loudspeaker is a delay that is not known and is constant: what is measured so is good for spread and drift, not for
 * the absolute offset between picture and voice.
 */
export class SoundWatch {
  #detector: OnsetDetector | undefined;
  #sampleRate = 0;
  #frames = 0;
  /** Of the output's clock, s. */
  readonly #onsets: number[] = [];
  /** The output's clock, s → the piece's own time, ms. */
  readonly #map: Point[] = [];
  /** What a piece's own time lacks of `performance` time when it arrives, ms. */
  readonly #offsets: number[] = [];

  static open(stream: MediaStream): SoundWatch {
    const [track] = stream.getAudioTracks();
    if (!track) throw new Error('the stream has no sound');
    const watch = new SoundWatch();
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
      // Only at the start, before the first packet says what it will be.
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
