/** A phoneme in espeak-ng's notation, without its stress mark. */
export interface PhonemeName {
  ipa: string;
  /** 0 none, 1 secondary, 2 primary. */
  stress: 0 | 1 | 2;
}

export interface Phoneme extends PhonemeName {
  startSeconds: number;
  endSeconds: number;
}

/**
 * Typical duration of a phoneme, ms, by the beginning of its name: means of espeak-ng's output at 160 words a minute. Only
 * ratios matter, because every word is scaled to its known duration.
 */
const TYPICAL_MS: readonly (readonly [names: RegExp, ms: number])[] = [
  [/^(tʃ|dʒ)/, 58],
  [/^[pbtdkɡɾʔ]/, 50],
  [/^[fsʃθ]/, 80],
  [/^[hð]/, 54],
  [/^[vzʒ]/, 72],
  [/^[mnŋ]/, 74],
  [/^w/, 88],
  [/^j/, 66],
  [/^[lɹ]/, 50],
  [/^(aɪ|aʊ|eɪ|ɔɪ|oʊ|əʊ)/, 128],
  [/^[iɜɑɔuo]ː/, 118],
  [/^[əɐᵻi]/, 50],
  [/^ɛ/, 105],
  [/./, 76],
];

const STRESSED_STRETCH = 1.25;
/** The last syllable of a clause is lengthened. */
const FINAL_STRETCH = 1.35;
const VOWEL = /^[aeiouɐɑɒɔəɚɛɜɪᵻʊʌæ]/;

/**
 * Parses the output of `espeak-ng --ipa --sep=_`: words separated by spaces, phonemes by `_`.
 *
 * @returns The clause's words, each a list of phonemes.
 */
export function parseIpa(output: string): PhonemeName[][] {
  return (
    output
      // espeak-ng marks words spoken by another language's rules: "(fr)".
      .replace(/\([a-z-]+\)/g, ' ')
      .split(/\s+/)
      .map((word) =>
        word
          .split('_')
          .map(parsePhoneme)
          .filter((phoneme) => phoneme.ipa !== ''),
      )
      .filter((word) => word.length > 0)
  );
}

function parsePhoneme(text: string): PhonemeName {
  const stress = text.includes('ˈ') ? 2 : text.includes('ˌ') ? 1 : 0;
  return { ipa: text.replace(/[ˈˌ]/g, ''), stress };
}

/** Measured start of a spoken word. */
export interface WordOnset {
  /** Index of the word in the clause. */
  word: number;
  seconds: number;
}

/**
 * Assigns times to every phoneme of a clause.
 *
 * A word with a measured onset starts exactly there. Within a word, and where onsets are missing, time is distributed by the
 * phonemes' typical durations.
 *
 * @param words The clause's phonemes, from {@link parseIpa}.
 * @param onsets In order; the first word starts at zero and needs none.
 * @param endSeconds End of the clause's last phoneme.
 */
export function alignPhonemes(words: PhonemeName[][], onsets: readonly WordOnset[], endSeconds: number): Phoneme[] {
  const phonemes = words.flat();
  const weights = phonemes.map((phoneme, index) => weightMs(phoneme, isInLastSyllable(phonemes, index)));
  const timed: Phoneme[] = [];

  let from: WordOnset = { word: 0, seconds: 0 };
  for (const to of [...onsets, { word: words.length, seconds: endSeconds }]) {
    // An onset out of order was measured wrongly, so its word shares the time of the previous one.
    if (to.word <= from.word || to.seconds <= from.seconds) continue;
    const count = words.slice(from.word, to.word).flat().length;
    const first = timed.length;
    const secondsPerMs = (to.seconds - from.seconds) / sum(weights.slice(first, first + count));
    let seconds = from.seconds;
    for (const [offset, phoneme] of phonemes.slice(first, first + count).entries()) {
      const end = seconds + (weights[first + offset] ?? 0) * secondsPerMs;
      timed.push({ ...phoneme, startSeconds: seconds, endSeconds: end });
      seconds = end;
    }
    from = to;
  }
  return timed;
}

function weightMs({ ipa, stress }: PhonemeName, isFinal: boolean): number {
  const typical = TYPICAL_MS.find(([names]) => names.test(ipa))?.[1] ?? 0;
  const stressed = stress > 0 ? STRESSED_STRETCH : 1;
  return typical * stressed * (isFinal ? FINAL_STRETCH : 1);
}

function isInLastSyllable(phonemes: PhonemeName[], index: number): boolean {
  return !phonemes.slice(index + 1).some(({ ipa }) => VOWEL.test(ipa));
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
