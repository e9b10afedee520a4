/**
 * Finds the starts of tone bursts, to the sample, in chunks of audio. Runs in Node and in the page.
 *
 * A burst is found by leaving silence, and its beginning is the first sample that reaches half of the burst's own amplitude:
 * what a codec smears ahead of it stays far below. A sine of frequency f gets there 1/(12 f) after its start (83 µs at
 * 1 kHz); that much is taken off, and nothing else is corrected.
 */
export class OnsetDetector {
  readonly #rate: number;
  readonly #toneHz: number;
  /** The latest samples, and the position of the first. */
  #samples = new Float32Array(0);
  #at = Number.NaN;
  /** Position of the first sample above silence, while the rest of that burst is awaited. */
  #loudAt: number | undefined;
  #quietSince = 0;

  constructor(options: { sampleRate: number; toneHz: number }) {
    this.#rate = options.sampleRate;
    this.#toneHz = options.toneHz;
  }

  /**
   * @param position position of the first sample, on any clock that counts samples. A gap restarts the detection.
   * @returns positions of onsets, fractional.
   */
  push(position: number, samples: Float32Array): number[] {
    if (position !== this.#at + this.#samples.length) this.#restart(position);
    const joined = new Float32Array(this.#samples.length + samples.length);
    joined.set(this.#samples);
    joined.set(samples, this.#samples.length);
    const from = this.#samples.length;
    this.#samples = joined;
    return this.#scan(from);
  }

  #restart(position: number): void {
    this.#samples = new Float32Array(0);
    this.#at = position;
    this.#loudAt = undefined;
    this.#quietSince = position;
  }

  #scan(from: number): number[] {
    const onsets: number[] = [];
    for (let i = from; i < this.#samples.length; i++) {
      const position = this.#at + i;
      const loud = Math.abs(this.#samples[i] as number) > SILENCE;
      if (loud && this.#loudAt === undefined && position - this.#quietSince >= QUIET_S * this.#rate)
        this.#loudAt = position;
      if (this.#loudAt !== undefined && position - this.#loudAt >= AFTER_S * this.#rate) {
        onsets.push(this.#onset(this.#loudAt));
        this.#loudAt = undefined;
      }
      if (loud) this.#quietSince = position + 1;
    }
    const keepFrom = Math.max(0, this.#samples.length - (BEFORE_S + AFTER_S) * this.#rate);
    this.#samples = this.#samples.slice(keepFrom);
    this.#at += keepFrom;
    return onsets;
  }

  #onset(loudAt: number): number {
    const first = loudAt - this.#at;
    let amplitude = 0;
    for (let i = first; i < first + AFTER_S * this.#rate; i++) {
      amplitude = Math.max(amplitude, Math.abs(this.#samples[i] ?? 0));
    }
    let i = first;
    while (Math.abs(this.#samples[i] as number) < amplitude / 2) i++;
    return this.#at + i - this.#rate / (12 * this.#toneHz);
  }
}

/** Silence threshold, share of full scale; the tone is at 0.6. */
const SILENCE = 0.02;
/** Silence required before a burst. */
const QUIET_S = 0.2;
/** Length over which a burst's amplitude is measured. */
const AFTER_S = 0.03;
const BEFORE_S = 0.03;
