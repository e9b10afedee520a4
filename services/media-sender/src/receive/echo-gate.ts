import { BANDS } from '../audio/band-powers.js';

/** Frames are taken for the echo, or for noise, up to this power above what is expected of either: 4.8 dB. */
const MARGIN = 3;
/** Least noise that is expected, mean square in a band: about −58 dBFS in all bands together. */
const LEAST_NOISE = 200;
/** Mean square in a band from which on the echo of what is played can be learned. */
const LEAST_PLAYED = 3000;
/** Growth of the noise's estimate per frame of 20 ms, 4.3 dB/s; it follows quieter noise at once. */
const NOISE_RISE = 1.02;
const NOISE_FALL = 0.3;
/** Frames in which the noise is learned at first, and its growth in them. */
const FIRST_FRAMES = 8;
const FIRST_NOISE_RISE = 10;
/** Decay of the echo's estimate per frame in which less comes back: 4 dB/s. */
const ECHO_FALL = 10 ** -0.008;
/** A room spreads an echo over frames, so that one may have more of it than the loudest frame that was heard: 3 dB. */
const PROOF_MARGIN = 2;
/** Growth while more comes back without being speech, 25 dB/s, and while it is taken for speech, 1 dB/s. */
const ECHO_RISE = 10 ** 0.05;
const ECHO_RISE_IN_SPEECH = 10 ** 0.002;
/** An echo is at most as loud as what is played. It is expected to be that before it is known. */
const MOST_ECHO = 1;
/** Growth after speech that may have been the echo: 6 dB. */
const ECHO_DOUBT = 4;

/**
 * Tells a viewer's voice from the echo of what is played and from noise, by how much of a frame's power neither explains. The
 * echo of a band is at most the loudest that was played within the possible delays, times a gain that is learned per viewer: it
 * begins at 0 dB, and falls to what comes back, with a browser's echo cancellation to next to nothing.
 *
 * It falls at once when it is proven. The echo of a block comes, whatever its delay, before the block leaves the possible delays;
 * so it was no louder than the loudest frame that was heard meanwhile. A microphone that stays silent while the avatar speaks
 * has no echo, and a voice over it only makes the bound higher.
 */
export class EchoGate {
  readonly #noise = new Float64Array(BANDS).fill(LEAST_NOISE);
  readonly #echo = new Float64Array(BANDS).fill(MOST_ECHO);
  /** What `played` was in the frame before, and the most that was heard since its block was first within the delays. */
  readonly #loudest = new Float64Array(BANDS);
  readonly #peak = new Float64Array(BANDS).fill(Number.POSITIVE_INFINITY);
  #hasMissed = false;
  #frames = 0;

  /**
   * @param heard Power of the frame by band.
   * @param played Largest power that was played within the possible delays of its echo, by band.
   * @returns The share of the frame's power that is neither noise nor echo, from 0 to 1.
   */
  unexplained(heard: Float64Array, played: Float64Array): number {
    let [total, rest] = [0, 0];
    for (let band = 0; band < BANDS; band++) {
      const power = heard[band] as number;
      const expected = (this.#noise[band] as number) + (this.#echo[band] as number) * (played[band] as number);
      total += power;
      rest += Math.max(0, power - MARGIN * expected);
    }
    return total > 0 ? rest / total : 0;
  }

  /** @param isSpeech Whether the frame is taken for a viewer's voice. */
  learn(heard: Float64Array, played: Float64Array, isSpeech: boolean): void {
    const rise = this.#frames++ < FIRST_FRAMES ? FIRST_NOISE_RISE : NOISE_RISE;
    for (let band = 0; band < BANDS; band++) {
      const power = heard[band] as number;
      const noise = this.#noise[band] as number;
      const next = power < noise ? noise + NOISE_FALL * (power - noise) : Math.min(power, noise * rise);
      this.#noise[band] = Math.max(LEAST_NOISE, next);
      this.#prove(band, power, played[band] as number);
      if ((played[band] as number) < LEAST_PLAYED) continue;
      const gain = Math.max(0, power - noise) / (played[band] as number);
      const known = this.#echo[band] as number;
      const isVisible = known * (played[band] as number) > MARGIN * noise;
      if (gain > known) {
        this.#echo[band] = Math.min(gain, known * (isSpeech ? ECHO_RISE_IN_SPEECH : ECHO_RISE), MOST_ECHO);
      } else if (!isSpeech && isVisible) this.#echo[band] = Math.max(gain, known * ECHO_FALL);
    }
    this.#hasMissed = false;
  }

  /** Must be called for frames that were not heard: the echo may have come in them, so that they prove nothing. */
  missed(): void {
    this.#hasMissed = true;
  }

  #prove(band: number, power: number, played: number): void {
    const loudest = this.#loudest[band] as number;
    const peak = played > loudest ? power : Math.max(power, this.#peak[band] as number);
    this.#loudest[band] = played;
    this.#peak[band] = this.#hasMissed ? Number.POSITIVE_INFINITY : peak;
    const hasLeft = played < loudest && loudest >= LEAST_PLAYED;
    if (!hasLeft || this.#hasMissed) return;
    const least = (this.#noise[band] as number) / loudest;
    this.#echo[band] = Math.min(this.#echo[band] as number, Math.max(least, (PROOF_MARGIN * peak) / loudest));
  }

  /** Expects more echo, because what was taken for speech may have been one: the volume was turned up. */
  doubt(): void {
    for (let band = 0; band < BANDS; band++) {
      this.#echo[band] = Math.min(MOST_ECHO, (this.#echo[band] as number) * ECHO_DOUBT);
    }
  }
}
