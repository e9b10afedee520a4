/** Characters from which on a piece ends with a word rather than with its sentence. */
const LONG_PIECE = 80;
/** Characters that a live push takes at once. */
const PIECE_LIMIT = 500;
/** The shortest time in which something is said, ms. */
const LEAST_MS = 1;

export interface TranscriptPiece {
  readonly text: string;
  readonly atMs: number;
  readonly untilMs: number;
}

/**
 * What an answer says, in pieces that belong to parts of its audio. The model tells no times: a piece is taken to be said in
 * the audio that arrives between its first word and that of the next piece.
 */
export class Transcript {
  readonly #pieces: { text: string; readonly atMs: number }[] = [];

  /** @param audioMs Audio of the answer that has arrived. */
  add(delta: string, audioMs: number): void {
    const last = this.#pieces.at(-1);
    if (last && (audioMs <= last.atMs || !endsBefore(last.text, delta))) last.text += delta;
    else this.#pieces.push({ text: delta, atMs: audioMs });
  }

  /**
   * @param lengthMs Length of the answer, once all of it has arrived.
   * @returns Each piece once, as soon as its end is known.
   */
  take(lengthMs?: number): TranscriptPiece[] {
    const untilsMs = this.#pieces.slice(1).map(({ atMs }) => atMs);
    if (lengthMs !== undefined) untilsMs.push(lengthMs);
    const taken = this.#pieces.splice(0, untilsMs.length);
    return taken.flatMap(({ text, atMs }, i) => split(text.trim(), atMs, Math.max(atMs + LEAST_MS, untilsMs[i] ?? 0)));
  }
}

function endsBefore(text: string, delta: string): boolean {
  const isWordOver = /\s$/.test(text) || /^\s/.test(delta);
  return isWordOver && (text.length > LONG_PIECE || /[.!?…]["'”’)]*\s*$/.test(text));
}

/** Spreads a text that is too long for one piece over its time, by the number of characters. */
function split(text: string, atMs: number, untilMs: number): TranscriptPiece[] {
  const whole = new RegExp(`.{1,${PIECE_LIMIT - 1}}(?:\\s|$)|.{1,${PIECE_LIMIT}}`, 'gsu');
  let at = 0;
  return [...text.matchAll(whole)].map(([part]) => {
    const msAt = (length: number) => atMs + ((untilMs - atMs) * length) / text.length;
    const piece = { text: part.trim(), atMs: msAt(at), untilMs: msAt(at + part.length) };
    at += part.length;
    return piece;
  });
}
