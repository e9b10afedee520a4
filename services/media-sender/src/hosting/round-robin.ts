/** Number of groups in which all tasks run. Larger ones would delay packets. */
const GROUPS = 10;

/** Stops a task. */
export type Stop = () => void;

/**
 * Runs each task once per interval, in groups that are spread over it. The Redis commands of a group share system calls and
 * warm caches, which takes a fifth of the CPU of a timer for each task.
 */
export class RoundRobin {
  readonly #intervalMs: number;
  /** The next one to run is the first. */
  readonly #tasks = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  /** Number of tasks that are due, in fractions of {@link GROUPS}: there may be fewer tasks than groups. */
  #due = 0;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** @param task must not throw. */
  add(task: () => void): Stop {
    const own = () => task();
    this.#tasks.add(own);
    this.#timer ??= setInterval(() => this.#runGroup(), this.#intervalMs / GROUPS);
    return () => {
      this.#tasks.delete(own);
      if (this.#tasks.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
    };
  }

  #runGroup(): void {
    for (this.#due += this.#tasks.size; this.#due >= GROUPS; this.#due -= GROUPS) {
      const [task] = this.#tasks;
      if (!task) return;
      this.#tasks.delete(task);
      this.#tasks.add(task);
      task();
    }
  }
}
