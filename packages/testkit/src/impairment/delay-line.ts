/** Runs actions at their times. Actions with the same time run in the order in which they were added. */
export class DelayLine {
  readonly #waiting: { readonly atMs: number; readonly action: () => void }[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerMs = Number.POSITIVE_INFINITY;

  at(atMs: number, action: () => void): void {
    let i = this.#waiting.length;
    while (i > 0 && (this.#waiting[i - 1]?.atMs ?? 0) > atMs) i--;
    this.#waiting.splice(i, 0, { atMs, action });
    this.#arm();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#waiting.length = 0;
  }

  #run(): void {
    this.#timerMs = Number.POSITIVE_INFINITY;
    const nowMs = performance.now();
    for (let first = this.#waiting[0]; first && first.atMs <= nowMs; first = this.#waiting[0]) {
      this.#waiting.shift();
      first.action();
    }
    this.#arm();
  }

  #arm(): void {
    const first = this.#waiting[0];
    if (!first || first.atMs >= this.#timerMs) return;
    clearTimeout(this.#timer);
    this.#timerMs = first.atMs;
    this.#timer = setTimeout(() => this.#run(), Math.max(0, first.atMs - performance.now()));
  }
}
