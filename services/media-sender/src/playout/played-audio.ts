import { PCM_RATE } from '@humancast/shared';
import { BANDS, BandPowers } from '../audio/band-powers.js';
import { BLOCK_PCM, BLOCK_SAMPLES } from './playout.js';

/** Blocks that are remembered: 2.6 s, with what is decided ahead more than a round trip, both buffers and a room. */
const KEPT = 128;
const powers = new BandPowers(BLOCK_PCM, PCM_RATE);

/** The spectrum of what a session has played in the last seconds, to tell its echo from a viewer's voice. */
export class PlayedAudio {
  readonly #bands = new Float64Array(KEPT * BANDS);
  /** Number of the block in each slot, counted from the start of the timeline. */
  readonly #blocks = new Float64Array(KEPT).fill(Number.NaN);

  /** @param positionSamples Timeline position of the block. */
  add(positionSamples: number, pcm: Int16Array, hasAudio: boolean): void {
    const block = Math.round(positionSamples / BLOCK_SAMPLES);
    const slot = slotOf(block);
    this.#blocks[slot] = block;
    const bands = this.#bands.subarray(slot * BANDS, (slot + 1) * BANDS);
    if (hasAudio) powers.measure(pcm, bands);
    else bands.fill(0);
  }

  /** Writes the largest power of each band between two timeline positions. What is not remembered is silence. */
  loudest(fromSamples: number, toSamples: number, out: Float64Array): void {
    out.fill(0);
    const first = Math.floor(fromSamples / BLOCK_SAMPLES);
    const last = Math.min(Math.floor(toSamples / BLOCK_SAMPLES), first + KEPT - 1);
    for (let block = first; block <= last; block++) {
      const slot = slotOf(block);
      if (this.#blocks[slot] !== block) continue;
      for (let band = 0; band < BANDS; band++) {
        out[band] = Math.max(out[band] as number, this.#bands[slot * BANDS + band] as number);
      }
    }
  }
}

function slotOf(block: number): number {
  return ((block % KEPT) + KEPT) % KEPT;
}
