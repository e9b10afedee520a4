/**
 * The lanes by priority: `idle`, because an avatar without an idle clip has no sessions; `upload`, because a client waits
 * for it; `ladder`, the further renditions of segments that can be played; `library` loads run in the background.
 */
const LANES = ['idle', 'upload', 'ladder', 'library'] as const;
export type Lane = (typeof LANES)[number];

interface Waiting {
  readonly start: () => void;
  readonly signal: AbortSignal;
}

/** Runs a bounded number of loads at once: idle clips first, then uploads, each lane in FIFO order. */
export class LoadQueue {
  readonly #concurrency: number;
  readonly #lanes: Readonly<Record<Lane, Waiting[]>> = { idle: [], upload: [], ladder: [], library: [] };
  #running = 0;

  constructor(concurrency: number) {
    this.#concurrency = concurrency;
  }

  get running(): number {
    return this.#running;
  }

  waiting(lane: Lane): number {
    return this.#lanes[lane].length;
  }

  /** @throws The signal's reason if it aborts before the load's turn. */
  async run<T>(lane: Lane, load: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(lane, signal);
    try {
      return await load();
    } finally {
      this.#running--;
      this.#startNext();
    }
  }

  #turn(lane: Lane, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const giveUp = () => {
        this.#lanes[lane].splice(this.#lanes[lane].indexOf(entry), 1);
        reject(signal.reason as Error);
      };
      const start = () => {
        signal.removeEventListener('abort', giveUp);
        this.#running++;
        resolve();
      };
      const entry: Waiting = { start, signal };
      signal.addEventListener('abort', giveUp, { once: true });
      this.#lanes[lane].push(entry);
      this.#startNext();
    });
  }

  #startNext(): void {
    while (this.#running < this.#concurrency) {
      const lane = LANES.find((name) => this.#lanes[name].length > 0);
      if (!lane) return;
      this.#lanes[lane].shift()?.start();
    }
  }
}
