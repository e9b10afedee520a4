/** Impairments of one direction. Probabilities are 0 to 1. */
export interface Impairment {
  /** Share of packets lost at random. */
  readonly loss: number;
  /** Gilbert–Elliott channel: per packet, the probability to enter the bad state, to leave it, and to be lost in it. */
  readonly burst: { readonly enter: number; readonly leave: number; readonly loss: number } | undefined;
  readonly delayMs: number;
  /** Standard deviation of the delay, which does not reorder packets, ms. */
  readonly jitterMs: number;
  /** Share of packets that overtake earlier ones. */
  readonly reorder: number;
  readonly duplicate: number;
  /** Rate of the bottleneck; infinite if there is none. */
  readonly rateBps: number;
  /** Maximum time in the bottleneck's queue, ms; packets that would wait longer are dropped. */
  readonly queueMs: number;
  /** Whether all packets are lost. */
  readonly isDead: boolean;
}

/** A phase of a profile, which starts at `atMs`. */
export interface Phase {
  readonly atMs: number;
  /** Impairments towards the viewer (down) and back (up). */
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
 * Parses a profile of one line: phases separated by semicolons, each changing the settings of the one before.
 *
 *     loss=5% delay=25ms; 10s rate=0.5M queue=300ms; 40s rate=5M
 *
 * Words: `loss=5%`, `burst=1%/30%/80%` (enter, leave, loss), `delay=`, `jitter=`, `reorder=`, `duplicate=`, `rate=` (k, M or
 * `none`), `queue=`, `dead`, `alive`. Loss, bursts, rate and queue apply towards the viewer; with `both` in a phase, they also
 * apply to the way back. All others apply to both directions.
 * @throws Error naming the invalid word.
 */
export function parseProfile(line: string): Phase[] {
  let down = UNIMPAIRED;
  let up = UNIMPAIRED;
  return line.split(';').map((text, i) => {
    const words = text.trim().split(/\s+/).filter(Boolean);
    const at = /^\d+(\.\d+)?m?s$/.test(words[0] ?? '') ? milliseconds(words.shift() ?? '') : 0;
    if (at === 0 && i > 0) throw new Error(`a phase must start with its time: ${text}`);
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
      throw new Error(`unknown impairment: ${word}`);
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
