import type { Clock } from '@humancast/shared';

/** A task with deadlines. */
export interface Task {
  /**
   * Does everything that is due.
   * @returns The next deadline, monotonic ms; `undefined` if the task is done.
   */
  run(nowMs: number): number | undefined;
}

/** Cancels a task, so that it is not run again. */
export type Cancel = () => void;

interface Slot {
  dueMs: number;
  readonly task: Task;
  cancelled: boolean;
}

/** `setTimeout` and `clearTimeout`, replaceable in tests. */
export interface Timers {
  set(callback: () => void, delayMs: number): unknown;
  clear(handle: unknown): void;
}

const systemTimers: Timers = {
  set: (callback, delayMs) => setTimeout(callback, delayMs),
  clear: (handle) => clearTimeout(handle as NodeJS.Timeout),
};

/** Sends what several tasks write together. */
export interface Cork {
  /** From now on, packets may wait until {@link uncork}. */
  cork(): void;
  uncork(): void;
}

const NO_CORK: Cork = { cork: () => {}, uncork: () => {} };

/** Packets do not wait longer than this for those of later tasks. */
const MAX_CORKED_MS = 1;
/** Resolution of Node's timers, which also turn 0 into 1. */
const TIMER_GRAIN_MS = 1;

/**
 * Runs the tasks of all sessions of a process with one timer. Deadlines are absolute, so one late run delays none after it.
 * Tasks run in the order of their deadlines, and none early. What they send leaves together, because
 * a system call for each of them would cost more than the packets.
 */
export class Scheduler {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #onError: (error: unknown) => void;
  readonly #packets: Cork;
  /** Binary heap, ordered by deadline. */
  readonly #heap: Slot[] = [];
  #timer: unknown;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #running = false;

  /**
   * Called before each task runs, so that a process that was frozen, even between two tasks, learns that its lease is over.
   */
  beforeTask: ((nowMs: number) => void) | undefined;

  /** @param packets What the tasks send. Default: it leaves at once. */
  constructor(clock: Clock, onError: (error: unknown) => void, timers: Timers = systemTimers, packets: Cork = NO_CORK) {
    this.#clock = clock;
    this.#onError = onError;
    this.#timers = timers;
    this.#packets = packets;
  }

  get size(): number {
    return this.#heap.length;
  }

  add(task: Task, dueMs: number): Cancel {
    const slot: Slot = { dueMs, task, cancelled: false };
    this.#push(slot);
    this.#arm();
    return () => {
      slot.cancelled = true;
    };
  }

  #run(): void {
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    this.#running = true;
    // Tasks that become due meanwhile wait for the next round, so that sockets are read in between.
    const nowMs = this.#clock.nowMs();
    let corkedAtMs = nowMs;
    this.#packets.cork();
    for (let slot = this.#heap[0]; slot && slot.dueMs <= nowMs; slot = this.#heap[0]) {
      this.#pop();
      const atMs = this.#clock.nowMs();
      if (atMs - corkedAtMs > MAX_CORKED_MS) {
        corkedAtMs = atMs;
        this.#packets.uncork();
        this.#packets.cork();
      }
      this.#prepareOne(atMs);
      if (slot.cancelled) continue;
      const nextMs = this.#runOne(slot);
      if (nextMs === undefined || slot.cancelled) continue;
      slot.dueMs = nextMs;
      this.#push(slot);
      if (nextMs <= nowMs) break; // it is behind, so the event loop turns before it continues
    }
    this.#packets.uncork();
    this.#running = false;
    this.#arm();
  }

  #prepareOne(nowMs: number): void {
    try {
      this.beforeTask?.(nowMs);
    } catch (error) {
      this.#onError(error);
    }
  }

  #runOne(slot: Slot): number | undefined {
    try {
      return slot.task.run(this.#clock.nowMs());
    } catch (error) {
      this.#onError(error);
      return undefined;
    }
  }

  #arm(): void {
    const first = this.#heap[0];
    if (this.#running || !first || first.dueMs >= this.#timerDueMs) return;
    this.#timers.clear(this.#timer);
    this.#timerDueMs = first.dueMs;
    const delayMs = Math.max(TIMER_GRAIN_MS, Math.ceil(first.dueMs - this.#clock.nowMs()));
    this.#timer = this.#timers.set(() => this.#run(), delayMs);
  }

  #push(slot: Slot): void {
    const heap = this.#heap;
    let i = heap.push(slot) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if ((heap[parent] as Slot).dueMs <= slot.dueMs) break;
      heap[i] = heap[parent] as Slot;
      i = parent;
    }
    heap[i] = slot;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && (heap[child + 1] as Slot).dueMs < (heap[child] as Slot).dueMs) child++;
      if ((heap[child] as Slot).dueMs >= last.dueMs) break;
      heap[i] = heap[child] as Slot;
      i = child;
    }
    heap[i] = last;
  }
}
