import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { budget, FuzzRandom, fuzz, mutate } from './fuzz.js';

const corpus = [Buffer.from('a first input of some length'), Buffer.from([0, 4, 1, 2, 3, 4])];

beforeEach(() => {
  vi.stubEnv('FUZZ_SECONDS', undefined);
  vi.stubEnv('FUZZ_SEED', undefined);
});
afterEach(() => vi.unstubAllEnvs());

async function inputsOf(seed: number): Promise<string[]> {
  const inputs: string[] = [];
  await fuzz({ corpus, runs: 200, seed }, (input) => inputs.push(input.toString('hex')));
  return inputs;
}

describe('fuzz()', () => {
  it('tries the same inputs for the same seed, and others for another', async () => {
    const inputs = await inputsOf(7);
    expect(inputs).toHaveLength(200);
    expect(new Set(inputs).size).toBeGreaterThan(150);
    expect(await inputsOf(7)).toEqual(inputs);
    expect(await inputsOf(8)).not.toEqual(inputs);
  });

  it('names seed, run and input of the attempt that threw or rejected', async () => {
    const failing = fuzz({ corpus: [Buffer.from('abc')], runs: 5, seed: 3 }, async (input) => {
      throw new RangeError(`${input.length} bytes`);
    });
    await expect(failing).rejects.toThrow(/^seed 3, run 0, input \S*: RangeError: \d+ bytes/);
  });

  it('takes its budget from FUZZ_SECONDS and FUZZ_SEED', () => {
    expect(budget({ runs: 10, seconds: 2 })).toEqual({ runs: 10, seconds: 2, seed: 1 });
    vi.stubEnv('FUZZ_SECONDS', '600');
    vi.stubEnv('FUZZ_SEED', '9');
    expect(budget({ runs: 10, seconds: 2 })).toEqual({ runs: Number.POSITIVE_INFINITY, seconds: 600, seed: 9 });
    vi.stubEnv('FUZZ_SECONDS', 'long');
    expect(() => budget()).toThrow('FUZZ_SECONDS must be a number of at least 0, not long');
  });
});

describe('mutate()', () => {
  it('leaves its input as it is and stays within the byte limit, empty inputs included', () => {
    const random = new FuzzRandom(1);
    const before = corpus.map((input) => input.toString('hex'));
    for (let i = 0; i < 2000; i++) {
      expect(mutate(random.pick([...corpus, Buffer.alloc(0)]), random, corpus, 40).length).toBeLessThanOrEqual(40);
    }
    expect(corpus.map((input) => input.toString('hex'))).toEqual(before);
  });
});
