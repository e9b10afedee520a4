/** A sentence without an end would keep the listener waiting until all of it has been synthesised. */
const LONGEST = 160;

/**
 * A text in the pieces in which it is synthesised, so that the first is heard while the next is being made. Nothing that can't
 * be said is left.
 */
export function sentencesOf(text: string): string[] {
  return text
    .split(/(?<=[.!?…。！？])\s+|\n+/u)
    .flatMap((sentence) => cut(sentence.trim()))
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}

/** In halves, and these again: after the mark or, without one, the space that is nearest to the middle. */
function cut(sentence: string): string[] {
  if (sentence.length <= LONGEST) return [sentence];
  const at = nearestToMiddle(sentence, /(?<=[,;:])\s+/g) ?? nearestToMiddle(sentence, /\s+/g) ?? LONGEST;
  return [sentence.slice(0, at), sentence.slice(at).trim()].flatMap(cut);
}

function nearestToMiddle(text: string, pattern: RegExp): number | undefined {
  const middle = text.length / 2;
  const places = [...text.matchAll(pattern)].map(({ index }) => index).filter((index) => index > 0);
  return places.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
}
