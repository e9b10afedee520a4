import type { RenditionSetup } from './rendition-encoder.js';

/** Share of real time that encoding may take; above it, renditions are dropped. */
const FULL = 0.9;
/** Share of real time that it may take with renditions taken back. */
const ROOM = 0.75;
/** Media over which the share is averaged, ms. */
const WINDOW_MS = 1000;
/** Media after a change before which the share says nothing, ms. */
const SETTLE_MS = 500;
/** Time for which there must be room before renditions are taken back, ms; doubled whenever that lasted less than {@link HOLDS_MS}. */
const FIRST_WAIT_MS = 5000;
const MAX_WAIT_MS = 120_000;
const HOLDS_MS = 20_000;
/** Cost of a frame besides its renditions (reading, converting), as a share of the largest rendition's. */
const FIXED_COST = 0.25;

/**
 * Decides which renditions of a live push are encoded, so that it keeps real time: measures how long encoding takes, and
 * drops renditions at the next GOP before the push falls behind. The smallest of each codec always stays, so that no viewer is
 * left without video; the middle ones go first, then the largest. They are taken back when there is room again.
 */
export class RungShedder {
  readonly #levels: readonly (readonly boolean[])[];
  readonly #costs: readonly number[];
  /** The level of the current GOP. */
  #level = 0;
  /** The level from the next GOP on. */
  #next = 0;
  #busyMs = 0;
  #mediaMs = 0;
  #sinceChangeMs = 0;
  #waitMs = FIRST_WAIT_MS;
  #raiseAfterMs = Number.NEGATIVE_INFINITY;
  #raisedAtMs = Number.NEGATIVE_INFINITY;

  constructor(renditions: readonly RenditionSetup[]) {
    this.#levels = levelsOf(renditions);
    const pixels = renditions.map(({ width, height }) => width * height);
    const fixed = FIXED_COST * Math.max(...pixels);
    this.#costs = this.#levels.map((active) => pixels.reduce((sum, each, i) => sum + (active[i] ? each : 0), fixed));
  }

  /** Whether each rendition is to be encoded from the next GOP on. */
  get next(): readonly boolean[] {
    return this.#activeAt(this.#next);
  }

  /** @returns Whether each rendition is to be encoded in the GOP that begins now. */
  beginGop(nowMs: number): readonly boolean[] {
    if (this.#next !== this.#level) {
      if (this.#next < this.#level) this.#raisedAtMs = nowMs;
      this.#level = this.#next;
      this.#raiseAfterMs = nowMs + this.#waitMs;
      this.#busyMs = 0;
      this.#mediaMs = 0;
      this.#sinceChangeMs = 0;
    }
    return this.#activeAt(this.#level);
  }

  /** Records that encoding took `busyMs` for media of this length. */
  spent(busyMs: number, mediaMs: number, nowMs: number): void {
    const kept = Math.exp(-mediaMs / WINDOW_MS);
    this.#busyMs = this.#busyMs * kept + busyMs;
    this.#mediaMs = this.#mediaMs * kept + mediaMs;
    this.#sinceChangeMs += mediaMs;
    if (this.#sinceChangeMs < SETTLE_MS || this.#next !== this.#level) return;
    const share = this.#busyMs / this.#mediaMs;
    if (share > FULL) this.#drop(share, nowMs);
    else if (this.#level === 0) return;
    else if (share * this.#ratio(this.#level - 1) >= ROOM) this.#raiseAfterMs = nowMs + this.#waitMs;
    else if (nowMs >= this.#raiseAfterMs) this.#next--;
  }

  #drop(share: number, nowMs: number): void {
    const last = this.#levels.length - 1;
    if (this.#level === last) return;
    this.#next = this.#level + 1;
    while (this.#next < last && share * this.#ratio(this.#next) > FULL) this.#next++;
    const held = nowMs - this.#raisedAtMs > HOLDS_MS;
    this.#waitMs = held ? FIRST_WAIT_MS : Math.min(2 * this.#waitMs, MAX_WAIT_MS);
  }

  #activeAt(level: number): readonly boolean[] {
    return this.#levels[level] as readonly boolean[];
  }

  /** @returns The expected cost of a level, relative to the current one. */
  #ratio(level: number): number {
    return (this.#costs[level] ?? 0) / (this.#costs[this.#level] ?? 1);
  }
}

/** @returns Which renditions are encoded at each level, the most expensive level first. */
function levelsOf(renditions: readonly RenditionSetup[]): boolean[][] {
  const ladders = [...new Set(renditions.map(({ codec }) => codec))].map((codec) =>
    stepsOf(bySize(renditions).filter((i) => renditions[i]?.codec === codec)),
  );
  const count = Math.max(1, ...ladders.map((steps) => steps.length));
  return Array.from({ length: count }, (_, level) => {
    const active = new Set(ladders.flatMap((steps) => steps[Math.min(level, steps.length - 1)] ?? []));
    return renditions.map((_, i) => active.has(i));
  });
}

/** @returns The renditions of one codec that are encoded at each level. @param ladder Largest first. */
function stepsOf(ladder: readonly number[]): number[][] {
  const smallest = ladder.slice(-1);
  return ladder.flatMap((largest, i) => {
    const rest = ladder.slice(i);
    return rest.length > 2 ? [rest, [largest, ...smallest]] : [rest];
  });
}

/** @returns The indices of renditions, the largest bitrate first. The smallest of a codec thus comes last of it. */
export function bySize(renditions: readonly Pick<RenditionSetup, 'bitrateBps'>[]): number[] {
  const bitrateOf = (i: number) => renditions[i]?.bitrateBps ?? 0;
  return [...renditions.keys()].sort((a, b) => bitrateOf(b) - bitrateOf(a));
}
