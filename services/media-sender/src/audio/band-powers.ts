/** Edges of the bands, Hz: about a third of the ear's resolution, within what telephones and laptops transmit. */
const EDGES_HZ = [150, 350, 600, 900, 1300, 1800, 2500, 3400, 5000];
export const BANDS = EDGES_HZ.length - 1;
const BITS = 9;
const SIZE = 2 ** BITS;

const cos = Float64Array.from({ length: SIZE / 2 }, (_, i) => Math.cos((2 * Math.PI * i) / SIZE));
const sin = Float64Array.from({ length: SIZE / 2 }, (_, i) => -Math.sin((2 * Math.PI * i) / SIZE));
const reversed = Uint16Array.from({ length: SIZE }, (_, i) => {
  let j = 0;
  for (let bit = 0; bit < BITS; bit++) if (i & (1 << bit)) j |= SIZE >> (bit + 1);
  return j;
});
const re = new Float64Array(SIZE);
const im = new Float64Array(SIZE);

/** Computes the power of frames of one length and rate in {@link BANDS} bands, comparable between rates. */
export class BandPowers {
  readonly #window: Float64Array;
  /** First bin of each band, and the end of the last one. */
  readonly #bins: readonly number[];

  /** @param samples Per frame, at most 512. */
  constructor(samples: number, rate: number) {
    const hann = Float64Array.from(
      { length: samples },
      (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * (i + 0.5)) / samples),
    );
    const energy = hann.reduce((sum, weight) => sum + weight * weight, 0);
    // Parseval: both halves of the spectrum add up to the mean square of the frame.
    const scale = Math.sqrt(2 / (energy * SIZE));
    this.#window = hann.map((weight) => weight * scale);
    this.#bins = EDGES_HZ.map((hz) => Math.round((hz * SIZE) / rate));
  }

  /** Writes each band's mean square. */
  measure(pcm: Int16Array, out: Float64Array): void {
    const window = this.#window;
    re.fill(0);
    im.fill(0);
    for (let i = 0; i < window.length; i++) re[reversed[i] as number] = (pcm[i] as number) * (window[i] as number);
    transform();
    for (let band = 0; band < BANDS; band++) {
      let power = 0;
      const end = this.#bins[band + 1] as number;
      for (let k = this.#bins[band] as number; k < end; k++) {
        power += (re[k] as number) ** 2 + (im[k] as number) ** 2;
      }
      out[band] = power;
    }
  }
}

/** FFT, radix 2, of what has been written in bit-reversed order. */
function transform(): void {
  for (let half = 1; half < SIZE; half *= 2) {
    const stride = SIZE / (2 * half);
    for (let start = 0; start < SIZE; start += 2 * half) {
      for (let k = 0; k < half; k++) {
        const a = start + k;
        const b = a + half;
        const wr = cos[k * stride] as number;
        const wi = sin[k * stride] as number;
        const br = re[b] as number;
        const bi = im[b] as number;
        const tr = br * wr - bi * wi;
        const ti = br * wi + bi * wr;
        re[b] = (re[a] as number) - tr;
        im[b] = (im[a] as number) - ti;
        re[a] = (re[a] as number) + tr;
        im[a] = (im[a] as number) + ti;
      }
    }
  }
}
