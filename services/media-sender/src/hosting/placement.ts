/** Of its places, how many more than the emptiest media-sender has in use one may have and still take the next session. */
const BAND = 0.1;
/** While a session waits that others should take: looks again so soon, and after so many looks takes it itself. */
const SOON_MS = 20;
const PATIENCE_LOOKS = 3;

/** A media-sender that takes sessions. */
export interface Load {
  readonly sessions: number;
  readonly capacity: number;
}

/**
 * How many sessions one may have, the next included, without being clearly fuller than the emptiest of the others, place for
 * place. Others that are full do not count.
 */
export function fairShare(capacity: number, others: readonly Load[]): number {
  const free = others.filter((other) => other.sessions < other.capacity);
  const least = Math.min(...free.map((other) => other.sessions / other.capacity));
  return Math.min(capacity, Math.floor(least * capacity) + Math.ceil(BAND * capacity));
}

export interface PlacementOptions {
  readonly capacity: number;
  /** Sessions it has, those just taken included. */
  readonly taken: () => number;
  /** The others that take sessions now, as they last said. */
  readonly others: () => Promise<readonly Load[]>;
  /** Sessions that nobody has taken yet. */
  readonly waiting: () => Promise<number>;
  /** Tells the others how many it has. */
  readonly publish: () => Promise<void>;
  /** It may have more or fewer sessions than before. */
  readonly onChange: () => void;
  /** Between two looks at the others. */
  readonly intervalMs: number;
}

/**
 * Prefers free places: whoever is clearly fuller than the emptiest does not pull, so that sessions go to where there is room
 * without anybody deciding for all. What others said may be old or wrong (dead, stuck), so it only ever yields while nothing
 * waits: a session that nobody takes is taken after a few looks.
 */
export class Placement {
  readonly #options: PlacementOptions;
  #limit: number;
  #open = true;
  /** Looks in a row that found a session waiting while this one yielded. */
  #waited = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = true;

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#limit = options.capacity;
  }

  /** Whether it takes another session, or leaves it to others. */
  get open(): boolean {
    return this.#open;
  }

  /** How many sessions it may have, as of now. */
  get limit(): number {
    return this.#limit;
  }

  start(): void {
    this.#stopped = false;
    this.#lookIn(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** A session has been taken, or has left. */
  changed(): void {
    const wasOpen = this.#open;
    this.#apply();
    // The others can't catch up before they know; more of the same burst may be waiting.
    if (wasOpen && !this.#open && !this.#isFull()) this.#lookIn(SOON_MS);
  }

  async look(): Promise<void> {
    const { capacity, taken, others, waiting, publish } = this.#options;
    if (!this.#open) await publish();
    const share = fairShare(capacity, await others());
    const yields = taken() >= share && !this.#isFull();
    this.#waited = yields && (await waiting()) > 0 ? this.#waited + 1 : 0;
    this.#apply(this.#waited > PATIENCE_LOOKS ? Math.min(taken() + 1, capacity) : share);
  }

  #isFull(): boolean {
    return this.#options.taken() >= this.#options.capacity;
  }

  #apply(limit = this.#limit): void {
    const open = this.#options.taken() < limit;
    if (open === this.#open && limit === this.#limit) return;
    this.#open = open;
    this.#limit = limit;
    this.#options.onChange();
  }

  #lookIn(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#lookAndGoOn(), delayMs);
  }

  async #lookAndGoOn(): Promise<void> {
    // Without Redis there is nothing to take either; its connection reports itself.
    await this.look().catch(() => {});
    this.#lookIn(this.#waited > 0 ? SOON_MS : this.#options.intervalMs);
  }
}
