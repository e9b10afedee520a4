/** Zero crossings of the sinc on either side; with the window below, aliases are 90 dB down. */
const ZERO_CROSSINGS = 24;
const KAISER_BETA = 9;
/** Cut-off as a share of the lower Nyquist frequency; the rest is the filter's transition band. */
const PASS_BAND = 0.92;

/**
 * Changes the sample rate with a windowed sinc, one phase for each position that an output sample can have between two input
 * samples. Output sample 0 lies at input sample 0; the only latency is the filter's look-ahead (about 1 ms).
 */
export class Resampler {
  readonly #up: number;
  readonly #down: number;
  /** Cut-off relative to the input's Nyquist frequency. */
  readonly #cutoff: number;
  /** Number of input samples on either side of an output sample that contribute to it. */
  readonly #reach: number;
  readonly #phases: (Float64Array | undefined)[];
  /** Input from `#from` on. */
  #input: Float64Array;
  #from: number;
  #end = 0;
  #produced = 0;

  constructor(fromRate: number, toRate: number) {
    const divisor = greatestCommonDivisor(fromRate, toRate);
    this.#up = toRate / divisor;
    this.#down = fromRate / divisor;
    this.#cutoff = PASS_BAND * Math.min(1, toRate / fromRate);
    this.#reach = Math.ceil(ZERO_CROSSINGS / this.#cutoff);
    this.#phases = new Array<Float64Array | undefined>(this.#up);
    this.#from = -this.#reach;
    this.#input = new Float64Array(this.#reach);
  }

  /** The filter's look-ahead, in input samples: output lags behind input by this much. */
  get lookAheadSamples(): number {
    return this.#reach;
  }

  /** @returns All output that the input so far determines. */
  push(samples: Float64Array): Float64Array {
    const kept = Math.max(this.#needed(this.#produced), this.#from);
    const tail = this.#input.subarray(kept - this.#from);
    const joined = new Float64Array(tail.length + samples.length);
    joined.set(tail);
    joined.set(samples, tail.length);
    this.#input = joined;
    this.#from = kept;
    this.#end += samples.length;
    return this.#take(this.#end - this.#reach);
  }

  /**
   * @returns The remaining output, as if silence followed; the total is the input's length in output samples, rounded up.
   */
  end(): Float64Array {
    const length = this.#end;
    const total = Math.ceil((length * this.#up) / this.#down);
    const rest = this.push(new Float64Array(this.#reach + 1));
    return rest.subarray(0, Math.max(0, rest.length - (this.#produced - total)));
  }

  /** @returns The output up to, but not including, an input position. */
  #take(inputEnd: number): Float64Array {
    const count = Math.max(0, Math.ceil((inputEnd * this.#up) / this.#down) - this.#produced);
    const output = new Float64Array(count);
    for (let i = 0; i < count; i++) output[i] = this.#sample(this.#produced + i);
    this.#produced += count;
    return output;
  }

  #sample(index: number): number {
    const phase = (index * this.#down) % this.#up;
    const first = this.#needed(index) - this.#from;
    const taps = this.#taps(phase);
    let sum = 0;
    for (let i = 0; i < taps.length; i++) sum += (taps[i] as number) * (this.#input[first + i] ?? 0);
    return sum;
  }

  /** @returns The first input sample that contributes to an output sample. */
  #needed(index: number): number {
    return Math.floor((index * this.#down) / this.#up) - this.#reach + 1;
  }

  #taps(phase: number): Float64Array {
    const known = this.#phases[phase];
    if (known) return known;
    const taps = this.#makeTaps(phase / this.#up);
    this.#phases[phase] = taps;
    return taps;
  }

  /** Normalizes every phase to unit gain for a constant input. */
  #makeTaps(fraction: number): Float64Array {
    const taps = new Float64Array(2 * this.#reach);
    let sum = 0;
    for (let i = 0; i < taps.length; i++) {
      const distance = i - this.#reach + 1 - fraction;
      const tap = sinc(distance * this.#cutoff) * kaiser(distance / this.#reach);
      taps[i] = tap;
      sum += tap;
    }
    return taps.map((tap) => tap / sum);
  }
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function kaiser(x: number): number {
  return Math.abs(x) >= 1 ? 0 : bessel(KAISER_BETA * Math.sqrt(1 - x * x)) / bessel(KAISER_BETA);
}

/** Modified Bessel function of the first kind, order zero, as its power series. */
function bessel(x: number): number {
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
