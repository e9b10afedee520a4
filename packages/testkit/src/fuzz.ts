import { Buffer } from 'node:buffer';

/** Numbers at which parsers of lengths and counts go wrong; each is written with a width that holds it. */
const INTERESTING_INTEGERS = [
  0, 1, 2, 3, 4, 12, 13, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x1_0000, 0xff_ffff,
] as const;
const MAX_MUTATIONS = 4;
/** Inputs grow by duplication and splicing, but not beyond this. */
const DEFAULT_MAX_BYTES = 65_536;
const DEFAULT_RUNS = 5000;
const DEFAULT_SECONDS = 5;
const DEFAULT_SEED = 1;
/** Maximum number of inputs with `QUICK_TESTS`. */
const QUICK_RUNS = 200;
/** Runs after which the event loop gets a turn, so that rejections and timers are not starved. */
const RUNS_PER_TURN = 64;

/** A seeded source of random numbers (mulberry32): the same seed gives the same sequence on every machine. */
export class FuzzRandom {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** @returns a number in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 15), z | 1);
    z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
    return ((z ^ (z >>> 14)) >>> 0) / 0x1_0000_0000;
  }

  /** @returns an integer in [0, bound); 0 when `bound` is 0. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** @returns `true` with this probability (0–1). */
  chance(probability: number): boolean {
    return this.next() < probability;
  }

  /** @throws Error if there are no items. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new Error('no items to pick from');
    return items[this.below(items.length)] as T;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Uint8Array.from({ length }, () => this.below(256)));
  }

  /** @returns a shuffled copy. */
  shuffled<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let i = copy.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
    }
    return copy;
  }
}

type Mutation = (input: Buffer, random: FuzzRandom, corpus: readonly Buffer[]) => Buffer;

const MUTATIONS: readonly Mutation[] = [
  flipBit,
  setByte,
  flipBit,
  setByte,
  truncate,
  removeRange,
  duplicateRange,
  insertBytes,
  splice,
  setInteger,
  setInteger,
  nudgeInteger,
  nudgeInteger,
];

/**
 * Makes a broken input from a valid one by one to four mutations: flipped bits, changed bytes, truncation, removed,
 * duplicated and inserted ranges, splices with other inputs of the corpus, and 8- to 32-bit big-endian integers (length and
 * count fields) that are set to interesting values or changed slightly. The input itself is not changed.
 *
 * @returns a new buffer of at most `maxBytes` bytes (default 65,536).
 */
export function mutate(
  input: Uint8Array,
  random: FuzzRandom,
  corpus: readonly Uint8Array[] = [],
  maxBytes = DEFAULT_MAX_BYTES,
): Buffer {
  const others = corpus.map((other) => Buffer.from(other.buffer, other.byteOffset, other.byteLength));
  let output = Buffer.from(input);
  for (let left = 1 + random.below(MAX_MUTATIONS); left > 0; left--) {
    output = Buffer.from(random.pick(MUTATIONS)(output, random, others).subarray(0, maxBytes));
  }
  return output;
}

export interface FuzzOptions {
  /** Valid inputs to mutate; strings are UTF-8. */
  readonly corpus: readonly (Uint8Array | string)[];
  /** Maximum number of inputs. Default 5000; unlimited if `FUZZ_SECONDS` is set. */
  readonly runs?: number;
  /** Maximum duration, s. Default 5; `FUZZ_SECONDS` overrides it. */
  readonly seconds?: number;
  /** Default 1; `FUZZ_SEED` overrides it. */
  readonly seed?: number;
  /** Default 65,536. */
  readonly maxBytes?: number;
}

/** The number of inputs tried and the seed. A test should expect `runs` to be above 0. */
export interface FuzzReport {
  readonly runs: number;
  readonly seed: number;
}

/**
 * Calls a parser with mutated inputs, one at a time, until `runs` or `seconds` is reached. Each run has its own random
 * source, derived from the seed and the run's number. One input in eight is random bytes, one in sixteen is valid.
 *
 * @throws Error that names the seed, the run and the input (base64) if an attempt throws or rejects.
 */
export async function fuzz(
  options: FuzzOptions,
  attempt: (input: Buffer, random: FuzzRandom) => unknown,
): Promise<FuzzReport> {
  const { corpus, maxBytes = DEFAULT_MAX_BYTES, runs, seconds, seed } = { ...options, ...budget(options) };
  const valid = corpus.map((input) => (typeof input === 'string' ? Buffer.from(input) : Buffer.from(input)));
  const deadline = performance.now() + seconds * 1000;
  let run = 0;
  for (; run < runs && performance.now() < deadline; run++) {
    const random = new FuzzRandom(Math.imul(seed, 0x9e3779b1) ^ run);
    const input = inputFor(random, valid, maxBytes);
    try {
      await attempt(Buffer.from(input), random);
    } catch (error) {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      throw new Error(`seed ${seed}, run ${run}, input ${input.toString('base64')}: ${what}`, { cause: error });
    }
    if (run % RUNS_PER_TURN === RUNS_PER_TURN - 1) await new Promise<void>((resolve) => setImmediate(resolve));
  }
  // A longer run is a measurement, whose result includes the number of inputs.
  if (fromEnvironment('FUZZ_SECONDS') !== undefined) console.log(`fuzz: ${run} inputs, seed ${seed}`);
  return { runs: run, seed };
}

/**
 * @returns the budget of a fuzz test: the given or default one in `npm test`, at most 200 runs with `QUICK_TESTS` (any
 * value), or `FUZZ_SECONDS` (seconds per test) and `FUZZ_SEED` (an integer). The test's timeout must be longer than
 * `seconds`.
 */
export function budget({ runs, seconds, seed }: Partial<FuzzOptions> = {}): {
  readonly runs: number;
  readonly seconds: number;
  readonly seed: number;
} {
  const longer = fromEnvironment('FUZZ_SECONDS');
  return {
    runs: longer === undefined ? quick(runs ?? DEFAULT_RUNS) : Number.POSITIVE_INFINITY,
    seconds: longer ?? seconds ?? DEFAULT_SECONDS,
    seed: fromEnvironment('FUZZ_SEED') ?? seed ?? DEFAULT_SEED,
  };
}

function quick(runs: number): number {
  return testSize(runs, Math.min(runs, QUICK_RUNS));
}

/** @returns a timeout for the test in milliseconds: its fuzz budget plus a minute. */
export function fuzzTimeoutMs(options: Partial<FuzzOptions> = {}): number {
  return (budget(options).seconds + 60) * 1000;
}

function fromEnvironment(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value) || value < 0) throw new Error(`${name} must be a number of at least 0, not ${text}`);
  return value;
}

function inputFor(random: FuzzRandom, valid: readonly Buffer[], maxBytes: number): Buffer {
  const kind = random.below(16);
  if (kind < 2 || valid.length === 0) return random.bytes(random.below(random.chance(0.5) ? 32 : 1500));
  const input = random.pick(valid);
  return kind === 2 ? input : mutate(input, random, valid, maxBytes);
}

function flipBit(input: Buffer, random: FuzzRandom): Buffer {
  const at = random.below(input.length);
  return with8(input, at, (input[at] ?? 0) ^ (1 << random.below(8)));
}

function setByte(input: Buffer, random: FuzzRandom): Buffer {
  return with8(input, random.below(input.length), random.below(256));
}

function truncate(input: Buffer, random: FuzzRandom): Buffer {
  return input.subarray(0, random.below(input.length));
}

function removeRange(input: Buffer, random: FuzzRandom): Buffer {
  const [from, to] = range(input, random);
  return Buffer.concat([input.subarray(0, from), input.subarray(to)]);
}

function duplicateRange(input: Buffer, random: FuzzRandom): Buffer {
  const [from, to] = range(input, random);
  const copies = Array.from({ length: random.chance(0.1) ? 50 : 1 }, () => input.subarray(from, to));
  return Buffer.concat([input.subarray(0, to), ...copies, input.subarray(to)]);
}

function insertBytes(input: Buffer, random: FuzzRandom): Buffer {
  const at = random.below(input.length + 1);
  return Buffer.concat([input.subarray(0, at), random.bytes(1 + random.below(16)), input.subarray(at)]);
}

function splice(input: Buffer, random: FuzzRandom, corpus: readonly Buffer[]): Buffer {
  const other = corpus.length > 0 ? random.pick(corpus) : input;
  return Buffer.concat([
    input.subarray(0, random.below(input.length + 1)),
    other.subarray(random.below(other.length + 1)),
  ]);
}

function setInteger(input: Buffer, random: FuzzRandom): Buffer {
  const value = random.pick(INTERESTING_INTEGERS);
  return withInteger(input, random, () => value);
}

function nudgeInteger(input: Buffer, random: FuzzRandom): Buffer {
  const by = random.pick([-2, -1, 1, 2]);
  return withInteger(input, random, (value) => value + by);
}

function withInteger(input: Buffer, random: FuzzRandom, change: (value: number) => number): Buffer {
  const width = 1 + random.below(4);
  if (input.length < width) return input;
  const at = random.below(input.length - width + 1);
  const modulus = 2 ** (8 * width);
  const output = Buffer.from(input);
  output.writeUIntBE((change(input.readUIntBE(at, width)) + modulus) % modulus, at, width);
  return output;
}

function with8(input: Buffer, at: number, value: number): Buffer {
  const output = Buffer.from(input);
  if (at < output.length) output[at] = value;
  return output;
}

/** @returns a range that is empty only for an empty input; short ranges are more likely. */
function range(input: Buffer, random: FuzzRandom): [from: number, to: number] {
  const from = random.below(input.length);
  const longest = input.length - from;
  return [from, from + Math.min(longest, 1 + random.below(random.chance(0.7) ? Math.min(16, longest) : longest))];
}

/** @returns The size of a property or endurance test: `quick` with `QUICK_TESTS`, `full` otherwise. */
export function testSize(full: number, quick: number): number {
  return process.env['QUICK_TESTS'] ? quick : full;
}
