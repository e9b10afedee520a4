/** @returns The gain of a raised cosine: near 0 at the start of a fade of `length` samples, near 1 at its end. */
function rise(sample: number, length: number): number {
  return 0.5 - 0.5 * Math.cos((Math.PI * (sample + 0.5)) / length);
}

/** Fades in the part of `out[at … at + count)` that lies within a fade of `length`, of which `done` samples have passed. */
export function fadeIn(out: Int16Array, at: number, count: number, done: number, length: number): void {
  for (let i = 0; i < count && done + i < length; i++) {
    out[at + i] = Math.round((out[at + i] as number) * rise(done + i, length));
  }
}

/** Adds `tail`, fading out over its length and starting at its sample `done`, to `out[at … at + count)`. Saturates. */
export function mixFadeOut(out: Int16Array, at: number, count: number, tail: Int16Array, done: number): void {
  for (let i = 0; i < count; i++) {
    const faded = (tail[done + i] as number) * (1 - rise(done + i, tail.length));
    out[at + i] = Math.max(-32_768, Math.min(32_767, (out[at + i] as number) + Math.round(faded)));
  }
}

/** @returns The largest difference between neighboring samples. */
export function largestStep(pcm: Int16Array): number {
  let largest = 0;
  for (let i = 1; i < pcm.length; i++) {
    largest = Math.max(largest, Math.abs((pcm[i] as number) - (pcm[i - 1] as number)));
  }
  return largest;
}
