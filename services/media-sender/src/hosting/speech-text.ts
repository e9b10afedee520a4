import type { TextCue } from '@humancast/protocol';

/** How late a cue is still told, ms. */
const LATE_MS = 1000;

/** Tells each cue when it begins; a host that continues a speech also tells the one that it is in the middle of. */
export class SpeechText {
  #seq: number | undefined;
  #told = 0;

  /**
   * @param seq The speech that is played.
   * @param positionMs Its position.
   * @returns The cues that have begun since the last call.
   */
  advance(seq: number, cues: readonly TextCue[], positionMs: number): TextCue[] {
    const isNew = seq !== this.#seq;
    if (isNew) this.#told = 0;
    this.#seq = seq;
    const begun: TextCue[] = [];
    for (let cue = cues[this.#told]; cue && cue.atMs <= positionMs; cue = cues[++this.#told]) {
      // A host that continues a speech does not repeat what is over.
      if (!isNew || cue.untilMs + LATE_MS > positionMs) begun.push(cue);
    }
    return begun;
  }
}

/** @returns The words whose last sound was played; those of a cue are spread evenly over its time. */
export function textUntil(cues: readonly TextCue[], positionMs: number): string {
  return cues
    .filter(({ atMs }) => atMs < positionMs)
    .map(({ text, atMs, untilMs }) => {
      if (untilMs <= positionMs) return text;
      const words = text.split(/\s+/);
      const share = (positionMs - atMs) / (untilMs - atMs);
      return words.slice(0, Math.floor(share * words.length)).join(' ');
    })
    .filter((text) => text !== '')
    .join(' ');
}
