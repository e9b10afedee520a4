/** Items that are kept; the oldest are forgotten. */
const MOST_ITEMS = 200;

export interface TimedWord {
  readonly text: string;
  /** When its last sound is over, in its item's audio, ms. */
  readonly endMs: number;
}

interface Item {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly words: TimedWord[];
  /** How much of it was heard. */
  heardMs: number;
}

/** An entry of the history: who said what, as far as it was heard. */
export class History {
  readonly #items: Item[] = [];

  add(id: string, role: Item['role'], words: readonly TimedWord[] = []): void {
    this.#items.push({ id, role, words: [...words], heardMs: Number.POSITIVE_INFINITY });
    if (this.#items.length > MOST_ITEMS) this.#items.shift();
  }

  /** Adds words to an item while it is being said. */
  say(id: string, words: readonly TimedWord[]): void {
    this.#items.find((item) => item.id === id)?.words.push(...words);
  }

  /** Forgets what was not heard. @returns Whether there is such an item of the assistant. */
  truncate(id: string, heardMs: number): boolean {
    const item = this.#items.find((known) => known.id === id && known.role === 'assistant');
    if (!item) return false;
    item.heardMs = Math.min(item.heardMs, heardMs);
    return true;
  }

  /** The model's knowledge of each item, in order. */
  get items(): { role: Item['role']; text: string; wasCut: boolean }[] {
    return this.#items.map(({ role, words, heardMs }) => {
      const heard = words.filter(({ endMs }) => endMs <= heardMs);
      return { role, text: heard.map(({ text }) => text).join(' '), wasCut: heardMs !== Number.POSITIVE_INFINITY };
    });
  }
}
