/** How far a sender's utilization may exceed the least-loaded sender's before it stops accepting sessions. */
const BAND = 0.1;
/** Poll interval while a session waits that another sender should take, and the polls after which this one takes it. */
const WAITING_POLL_MS = 20;
const MAX_YIELDED_POLLS = 3;

/** The load of a media-sender that accepts sessions. */
export interface Load {
  readonly sessions: number;
  readonly capacity: number;
}

/**
 * @param others Senders that accept sessions; full ones are ignored.
 * @returns How many sessions a sender may have, including the next one, without being clearly fuller than the least loaded.
 */
export function fairShare(capacity: number, others: readonly Load[]): number {
  const free = others.filter((other) => other.sessions < other.capacity);
  const least = Math.min(...free.map((other) => other.sessions / other.capacity));
  return Math.min(capacity, Math.floor(least * capacity) + Math.ceil(BAND * capacity));
}

export interface PlacementOptions {
  readonly capacity: number;
  /** Sessions of this sender, including those being opened. */
  readonly taken: () => number;
  /** Last published load of the other senders that accept sessions. */
  readonly others: () => Promise<readonly Load[]>;
  /** Sessions that wait for a sender. */
  readonly waiting: () => Promise<number>;
  /** Publishes this sender's load. */
  readonly publish: () => Promise<void>;
  /** Called when {@link Placement.open} or {@link Placement.limit} has changed. */
  readonly onChange: () => void;
  /** Poll interval of the other senders' load. */
  readonly intervalMs: number;
}

/**
 * Balances sessions without a coordinator: a sender that is clearly fuller than the least-loaded one does not pull jobs. The
 * others' load may be stale (a sender may be dead or stuck), so a session that still waits after a few polls is taken
 * anyway.
 */
export class Placement {
  readonly #options: PlacementOptions;
  #limit: number;
  #open = true;
  /** Polls in a row that found a session waiting while this sender yielded. */
  #yieldedPolls = 0;
  #timer: NodeJS.Timeout | undefined;
  #stopped = true;

  constructor(options: PlacementOptions) {
    this.#options = options;
    this.#limit = options.capacity;
  }

  /** Whether this sender takes another session. */
  get open(): boolean {
    return this.#open;
  }

  /** Maximum number of sessions that this sender may have now. */
  get limit(): number {
    return this.#limit;
  }

  start(): void {
    this.#stopped = false;
    this.#schedulePoll(0);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  /** Reports that a session was taken or has left. */
  changed(): void {
    const wasOpen = this.#open;
    this.#apply();
    // The others must learn the new load before they can catch up, and the burst may go on.
    if (wasOpen && !this.#open && !this.#isFull()) this.#schedulePoll(WAITING_POLL_MS);
  }

  async poll(): Promise<void> {
    const { capacity, taken, others, waiting, publish } = this.#options;
    if (!this.#open) await publish();
    const share = fairShare(capacity, await others());
    const yields = taken() >= share && !this.#isFull();
    this.#yieldedPolls = yields && (await waiting()) > 0 ? this.#yieldedPolls + 1 : 0;
    this.#apply(this.#yieldedPolls > MAX_YIELDED_POLLS ? Math.min(taken() + 1, capacity) : share);
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

  #schedulePoll(delayMs: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#pollAndReschedule(), delayMs);
  }

  async #pollAndReschedule(): Promise<void> {
    // Without Redis there are no sessions to take, and the connection logs its own errors.
    await this.poll().catch(() => {});
    this.#schedulePoll(this.#yieldedPolls > 0 ? WAITING_POLL_MS : this.#options.intervalMs);
  }
}
