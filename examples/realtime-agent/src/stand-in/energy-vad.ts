/** Length of a step, ms. */
const STEP_MS = 20;
/** Level of speech: above the background by so much, and never below the floor, dBFS. */
const ABOVE_BACKGROUND_DB = 12;
const FLOOR_DB = -45;
/** Speech that makes a start, and silence that makes an end, ms. */
const START_MS = 100;
const END_MS = 500;
/** Share of the way that the background follows the level in a step: down at once, up within seconds. */
const BACKGROUND_RISE = 0.005;

export interface VoiceChange {
  readonly type: 'started' | 'stopped';
  /** Position in the audio, ms. */
  readonly atMs: number;
}

/** Finds speech by its level. Enough to try a conversation in a quiet room. */
export class EnergyVad {
  readonly #step: Int16Array;
  #filled = 0;
  #positionMs = 0;
  #backgroundDb = -60;
  #isSpeech = false;
  /** How long the level has contradicted the state, ms. */
  #otherMs = 0;

  constructor(sampleRate: number) {
    this.#step = new Int16Array((sampleRate * STEP_MS) / 1000);
  }

  push(pcm: Int16Array): VoiceChange[] {
    const changes: VoiceChange[] = [];
    for (let at = 0; at < pcm.length; ) {
      const count = Math.min(pcm.length - at, this.#step.length - this.#filled);
      this.#step.set(pcm.subarray(at, at + count), this.#filled);
      this.#filled += count;
      at += count;
      if (this.#filled < this.#step.length) break;
      this.#filled = 0;
      const change = this.#decide();
      if (change) changes.push(change);
    }
    return changes;
  }

  #decide(): VoiceChange | undefined {
    this.#positionMs += STEP_MS;
    const level = levelOf(this.#step);
    const isLoud = level > Math.max(FLOOR_DB, this.#backgroundDb + ABOVE_BACKGROUND_DB);
    this.#backgroundDb =
      level < this.#backgroundDb ? level : this.#backgroundDb + (level - this.#backgroundDb) * BACKGROUND_RISE;
    this.#otherMs = isLoud === this.#isSpeech ? 0 : this.#otherMs + STEP_MS;
    if (this.#otherMs < (this.#isSpeech ? END_MS : START_MS)) return undefined;
    this.#isSpeech = !this.#isSpeech;
    const atMs = this.#positionMs - this.#otherMs;
    this.#otherMs = 0;
    return { type: this.#isSpeech ? 'started' : 'stopped', atMs };
  }
}

/** @returns dBFS. */
function levelOf(pcm: Int16Array): number {
  const power = pcm.reduce((sum, sample) => sum + sample * sample, 0) / pcm.length;
  return 10 * Math.log10(Math.max(1, power) / 32_768 ** 2);
}
