import type { Clip } from './clip.js';
import { BLOCK_SAMPLES, type Playhead } from './playout.js';

/** Packets that are remembered: 2 s, more than a round trip and both jitter buffers. */
const KEPT = 100;

/** Remembers the positions sent in the last two seconds, to tell what a viewer was hearing when it spoke. */
export class PlayedHistory {
  readonly #positions = new Float64Array(KEPT).fill(Number.NaN);
  readonly #clips = new Array<Clip | undefined>(KEPT).fill(undefined);
  readonly #seqs = new Int32Array(KEPT);
  readonly #clipPositions = new Float64Array(KEPT);
  #next = 0;

  /** @param positionSamples Timeline position of an audio packet that is sent. */
  add(positionSamples: number, { clip, seq, positionSamples: clipPosition }: Playhead): void {
    const i = this.#next;
    this.#positions[i] = positionSamples;
    this.#clips[i] = clip;
    this.#seqs[i] = seq;
    this.#clipPositions[i] = clipPosition;
    this.#next = (i + 1) % KEPT;
  }

  /**
   * @returns What was played at a timeline position; `undefined` if that is not known, or not any more. What is due but not sent
   *   yet, because the process is late, was not played: then the end of what was sent.
   */
  at(positionSamples: number): Playhead | undefined {
    for (let back = 1; back <= KEPT; back++) {
      const i = (this.#next - back + KEPT) % KEPT;
      const [clip, position] = [this.#clips[i], this.#positions[i] as number];
      if (!clip) return undefined;
      if (position > positionSamples) continue;
      const offset = (this.#clipPositions[i] as number) + Math.min(positionSamples - position, BLOCK_SAMPLES);
      return { clip, seq: this.#seqs[i] as number, positionSamples: Math.min(offset, clip.durationSamples) };
    }
    return undefined;
  }
}
