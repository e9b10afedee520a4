/** Part of an item of the conversation: what a model said in one piece. */
interface Part {
  readonly item: string;
  readonly contentIndex: number;
  samples: number;
}

/** How much of an item was heard. */
export interface HeardItem {
  readonly item: string;
  readonly contentIndex: number;
  readonly heardMs: number;
}

/** A model's answer as it arrives, faster than it is spoken, cut into frames. */
export class AudioQueue {
  readonly #rate: number;
  readonly #limit: number;
  readonly #chunks: Int16Array[] = [];
  readonly #parts: Part[] = [];
  #samples = 0;
  #taken = 0;
  #ended = false;
  #wake = () => {};

  /** @param limitSeconds Length of the longest answer. */
  constructor(rate: number, limitSeconds: number) {
    this.#rate = rate;
    this.#limit = rate * limitSeconds;
  }

  /** @returns Whether there was room for it. */
  push(item: string, contentIndex: number, pcm: Int16Array): boolean {
    if (this.#ended || this.#samples + pcm.length > this.#limit) return false;
    const last = this.#parts.at(-1);
    if (last?.item === item && last.contentIndex === contentIndex) last.samples += pcm.length;
    else this.#parts.push({ item, contentIndex, samples: pcm.length });
    this.#chunks.push(pcm);
    this.#samples += pcm.length;
    this.#wake();
    return true;
  }

  /** Length of what has arrived, ms. */
  get arrivedMs(): number {
    return (this.#samples * 1000) / this.#rate;
  }

  /** Its length, once all of it has arrived, ms. */
  get lengthMs(): number | undefined {
    return this.#ended ? this.arrivedMs : undefined;
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** @returns Whether there is anything to say; waits until that is known. */
  async any(): Promise<boolean> {
    while (this.#samples === 0 && !this.#ended) await this.#more();
    return this.#samples > 0;
  }

  /** @returns So many samples, the last ones padded with silence; `undefined` after the end. Waits for what is missing. */
  async take(count: number): Promise<Int16Array | undefined> {
    while (this.#samples - this.#taken < count && !this.#ended) await this.#more();
    if (this.#taken >= this.#samples) return undefined;
    const taken = new Int16Array(count);
    let filled = 0;
    for (let chunk = this.#chunks[0]; chunk && filled < count; chunk = this.#chunks[0]) {
      const part = chunk.subarray(0, count - filled);
      taken.set(part, filled);
      filled += part.length;
      if (part.length === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(part.length);
    }
    this.#taken += filled;
    return taken;
  }

  /**
   * @param positionMs How much of the answer was heard.
   * @param isWhole Whether the model had said all of it by then.
   * @returns The items of which less was heard than the model has said.
   */
  cutAt(positionMs: number, isWhole: boolean): HeardItem[] {
    let startMs = 0;
    return this.#parts.flatMap(({ item, contentIndex, samples }, index) => {
      const lengthMs = (samples * 1000) / this.#rate;
      const heardMs = Math.floor(Math.min(lengthMs, Math.max(0, positionMs - startMs)));
      startMs += lengthMs;
      const mayBeLonger = index === this.#parts.length - 1 && !isWhole;
      return positionMs < startMs || mayBeLonger ? [{ item, contentIndex, heardMs }] : [];
    });
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
