/** A gain that changes by ramps, so that it does not click. */
export class Gain {
  #now = 1;
  #target = 1;
  #step = 0;

  /** @param rampSamples Length of the way from the gain of now to this one, in samples of what it is applied to. */
  set(target: number, rampSamples: number): void {
    if (target === this.#target) return;
    this.#target = target;
    this.#step = (target - this.#now) / Math.max(1, rampSamples);
  }

  apply(pcm: Int16Array): void {
    if (this.#now === 1 && this.#target === 1) return;
    for (let i = 0; i < pcm.length; i++) {
      if (this.#now !== this.#target) {
        const left = Math.abs(this.#target - this.#now);
        this.#now = left <= Math.abs(this.#step) ? this.#target : this.#now + this.#step;
      }
      pcm[i] = Math.round((pcm[i] as number) * this.#now);
    }
  }
}
