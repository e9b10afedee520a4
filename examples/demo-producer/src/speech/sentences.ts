/** Maximum length of a sentence, characters. A longer one would delay the speech until all of it is synthesized. */
const LONGEST = 160;

/**
 * Splits a text into the pieces to synthesize, so that the first plays while the next is being made. Pieces without letters
 * or digits are dropped.
 */
export function sentencesOf(text: string): string[] {
  return text
    .split(/(?<=[.!?…。！？])\s+|\n+/u)
    .flatMap((sentence) => cut(sentence.trim()))
    .filter((sentence) => /[\p{L}\p{N}]/u.test(sentence));
}

/** Splits a sentence at the comma, colon or semicolon, else the space, nearest to its middle; repeats for the halves. */
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
