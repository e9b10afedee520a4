import { FuzzRandom } from '@humancast/testkit';
import type { Fault } from './faults.ts';
import { type FaultKind, HARD_FAULTS, type HardScene, type Pace } from './hard-faults.ts';

/** One fault, or two that overlap in time. */
export interface Step {
  readonly faults: readonly { readonly fault: Fault<HardScene>; readonly afterMs: number }[];
}

export type FaultName = keyof typeof HARD_FAULTS;

const PAIRS = 0.5;
/** Maximum delay of the second fault, ms. */
const STAGGER_MS = 3000;

/**
 * Draws an endless sequence of faults. The same seed, names and pace give the same plan: every kind occurs once before any
 * repeats, in a new order each time, and half of the steps have a second fault of another part.
 */
export function* plan(seed: number, names: readonly FaultName[], pace: Pace): Generator<Step, never> {
  const random = new FuzzRandom(seed);
  let waiting: FaultKind[] = [];
  const next = (isFine: (kind: FaultKind) => boolean): FaultKind | undefined => {
    if (waiting.length === 0) waiting = random.shuffled(names.map((name): FaultKind => HARD_FAULTS[name]));
    const i = waiting.findIndex(isFine);
    return i === -1 ? undefined : waiting.splice(i, 1)[0];
  };
  for (;;) {
    const first = next(() => true);
    if (!first) throw new Error('no faults to choose from');
    const second = random.chance(PAIRS) ? next(({ part }) => part !== first.part) : undefined;
    const kinds = second ? [first, second] : [first];
    yield {
      faults: kinds.map((kind, i) => ({ fault: kind.draw(random, pace), afterMs: i * random.below(STAGGER_MS) })),
    };
  }
}
