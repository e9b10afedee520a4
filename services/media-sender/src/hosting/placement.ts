import type { SenderRecord } from '@humancast/shared';

/** How far a sender's utilization may exceed the least-loaded sender's before it stops accepting sessions. */
const BAND = 0.1;
/** Poll interval while a session waits that another sender should take, and the polls after which this one takes it. */
const WAITING_POLL_MS = 20;
const MAX_YIELDED_POLLS = 3;

/**
 * Senders that one compares itself with. All of a larger fleet would cost Redis the square of its size, and the least loaded
 * of so many random ones is among the least loaded of all.
 */
export const SAMPLED_SENDERS = 16;

/** The load of a media-sender: of what is placed, sessions or viewers, and of the other kind. */
export interface Load {
  readonly taken: number;
  readonly capacity: number;
  /** Utilization by the other kind, which uses the same CPU: 0 to 1. */
  readonly otherUse: number;
}

/** @returns A sender's load by sessions, with that of its viewers. */
export function sessionLoad({ sessions, capacity, viewers, viewerCapacity }: SenderRecord): Load {
  return { taken: sessions, capacity, otherUse: viewerCapacity > 0 ? viewers / viewerCapacity : 0 };
}

/** @returns A sender's load by viewers, with that of its sessions. */
export function viewerLoad({ sessions, capacity, viewers, viewerCapacity }: SenderRecord): Load {
  return { taken: viewers, capacity: viewerCapacity, otherUse: sessions / capacity };
}

/**
 * @param others Senders that accept what is placed; full ones are ignored.
 * @returns How many a sender may have, including the next one, without being clearly fuller than the least loaded. Sessions
 * and viewers are weighted by what they cost: each its part of `MAX_SESSIONS` or `MAX_VIEWERS`.
 */
export function fairShare({ capacity, otherUse }: Omit<Load, 'taken'>, others: readonly Load[]): number {
  const free = others.filter((other) => other.taken < other.capacity);
  const least = Math.min(...free.map((other) => other.taken / other.capacity + other.otherUse));
  return Math.min(capacity, Math.floor((least - otherUse) * capacity) + Math.ceil(BAND * capacity));
}

export interface PlacementOptions {
  readonly capacity: number;
  /** Sessions or viewers of this sender, including those being opened. */
  readonly taken: () => number;
  /** This sender's {@link Load.otherUse}. */
  readonly otherUse: () => number;
  /** Last published load of other senders that accept sessions. */
  readonly others: () => Promise<readonly Load[]>;
  /** Sessions or viewers that wait for a sender. */
  readonly waiting: () => Promise<number>;
  /** Publishes this sender's load. */
  readonly publish: () => Promise<void>;
  /** Called when {@link Placement.open} or {@link Placement.limit} has changed. */
  readonly onChange: () => void;
  /** Poll interval of the other senders' load. */
  readonly intervalMs: number;
}

/**
 * Balances sessions, or viewers, without a coordinator: a sender that is clearly fuller than the least-loaded one does not pull jobs. The
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
    const { capacity, taken, otherUse, others, waiting, publish } = this.#options;
    if (!this.#open) await publish();
    const share = fairShare({ capacity, otherUse: otherUse() }, await others());
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
