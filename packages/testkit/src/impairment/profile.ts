/** What happens to the packets of one direction. Probabilities are 0 to 1. */
export interface Impairment {
  /** Share lost at random. */
  readonly loss: number;
  /** A two-state channel (Gilbert–Elliott): per packet, the chance to become bad, to become good again, and to be lost while bad. */
  readonly burst: { readonly enter: number; readonly leave: number; readonly loss: number } | undefined;
  readonly delayMs: number;
  /** Standard deviation of the delay, which does not reorder. */
  readonly jitterMs: number;
  /** Share that overtakes what was sent before it. */
  readonly reorder: number;
  readonly duplicate: number;
  /** Of the bottleneck; infinite: there is none. */
  readonly rateBps: number;
  /** Longest time in the bottleneck's queue; what would wait longer is lost. */
  readonly queueMs: number;
  /** Nothing gets through. */
  readonly isDead: boolean;
}

/** A phase of a profile: from `atMs` on. */
export interface Phase {
  readonly atMs: number;
  /** Towards the viewer, and back. */
  readonly down: Impairment;
  readonly up: Impairment;
}

export const UNIMPAIRED: Impairment = {
  loss: 0,
  burst: undefined,
  delayMs: 0,
  jitterMs: 0,
  reorder: 0,
  duplicate: 0,
  rateBps: Number.POSITIVE_INFINITY,
  queueMs: 300,
  isDead: false,
};

/**
 * Reads a profile, which is one line: phases, separated by semicolons, each of which says what changes against the one before.
 *
 *     loss=5% delay=25ms; 10s rate=0.5M queue=300ms; 40s rate=5M
 *
 * Words: `loss=5%`, `burst=1%/30%/80%` (enter, leave, loss), `delay=`, `jitter=`, `reorder=`, `duplicate=`, `rate=` (k, M or
 * `none`), `queue=`, `dead`, `alive`. Loss, bursts, rate and queue are those towards the viewer; with `both` in a phase, they
 * are those of the way back as well. Everything else is that of both ways.
 * @throws Error naming the word that is none.
 */
export function parseProfile(line: string): Phase[] {
  let down = UNIMPAIRED;
  let up = UNIMPAIRED;
  return line.split(';').map((text, i) => {
    const words = text.trim().split(/\s+/).filter(Boolean);
    const at = /^\d+(\.\d+)?m?s$/.test(words[0] ?? '') ? milliseconds(words.shift() ?? '') : 0;
    if (at === 0 && i > 0) throw new Error(`a phase begins with its time: ${text}`);
    const both = words.includes('both');
    for (const word of words) {
      if (word === 'both') continue;
      const change = changeOf(word);
      down = { ...down, ...change };
      if (both || !TOWARDS_VIEWER.has(word.split('=')[0] ?? '')) up = { ...up, ...change };
    }
    return { atMs: at, down, up };
  });
}

const TOWARDS_VIEWER = new Set(['loss', 'burst', 'rate', 'queue']);

function changeOf(word: string): Partial<Impairment> {
  const [name = '', value = ''] = word.split('=', 2);
  switch (name) {
    case 'loss':
      return { loss: share(value) };
    case 'burst': {
      const [enter = '', leave = '', loss = ''] = value.split('/');
      return { burst: { enter: share(enter), leave: share(leave), loss: share(loss) } };
    }
    case 'delay':
      return { delayMs: milliseconds(value) };
    case 'jitter':
      return { jitterMs: milliseconds(value) };
    case 'reorder':
      return { reorder: share(value) };
    case 'duplicate':
      return { duplicate: share(value) };
    case 'rate':
      return { rateBps: bitRate(value) };
    case 'queue':
      return { queueMs: milliseconds(value) };
    case 'dead':
      return { isDead: true };
    case 'alive':
      return { isDead: false };
    default:
      throw new Error(`not an impairment: ${word}`);
  }
}

function share(text: string): number {
  const [, number = ''] = /^(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  if (number === '' || Number(number) > 100) throw new Error(`not a share such as 5%: ${text}`);
  return Number(number) / 100;
}

function milliseconds(text: string): number {
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text) ?? [];
  if (number === '') throw new Error(`not a time such as 50ms or 2s: ${text}`);
  return Number(number) * (unit === 's' ? 1000 : 1);
}

function bitRate(text: string): number {
  if (text === 'none') return Number.POSITIVE_INFINITY;
  const [, number = '', unit = ''] = /^(\d+(?:\.\d+)?)(k|M)$/.exec(text) ?? [];
  if (Number(number) <= 0) throw new Error(`not a rate such as 500k or 1.5M: ${text}`);
  return Number(number) * (unit === 'k' ? 1e3 : 1e6);
}
