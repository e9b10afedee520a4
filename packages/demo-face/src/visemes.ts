import type { Phoneme } from './alignment.js';
import { type MouthShape, REST_MOUTH } from './mouth.js';

/**
 * A visually distinct mouth shape, and how strongly a phoneme requires it.
 *
 * "b" must close the lips whatever is spoken around it, but they may be round or not; "t" adapts to its neighbors in
 * everything.
 */
interface Viseme {
  shape: MouthShape;
  /** Weight of the jaw and of what happens between the lips; 1 for an ordinary vowel. */
  jawWeight: number;
  /** Weight of the corners of the lips. */
  lipWeight: number;
}

function viseme(jawWeight: number, lipWeight: number, shape: Partial<MouthShape>): Viseme {
  return { shape: { ...REST_MOUTH, ...shape }, jawWeight, lipWeight };
}

const VISEMES = {
  silence: viseme(1, 0.7, {}),
  pressed: viseme(14, 0.3, { press: 1 }), // p b m
  tucked: viseme(8, 0.5, { open: 0.14, tuck: 1, width: 0.1 }), // f v
  dental: viseme(2, 0.4, { open: 0.2, tongue: 1 }), // th
  alveolar: viseme(0.9, 0.3, { open: 0.17, tongue: 0.55, width: 0.1 }), // t d n l
  hissing: viseme(2.2, 0.8, { open: 0.12, width: 0.5 }), // s z
  hushing: viseme(2, 1.6, { open: 0.17, width: -0.65 }), // sh ch
  velar: viseme(0.6, 0.2, { open: 0.24 }), // k g ng
  rhotic: viseme(0.8, 1, { open: 0.22, width: -0.45 }), // r
  glideW: viseme(2, 2.6, { open: 0.1, width: -1 }),
  open: viseme(1.3, 0.7, { open: 0.72 }), // ah
  wide: viseme(1.2, 0.9, { open: 0.58, width: 0.3 }), // a as in cat
  half: viseme(1.1, 0.8, { open: 0.44, width: 0.28 }), // e
  spread: viseme(1, 1.2, { open: 0.24, width: 0.75 }), // ee
  slack: viseme(0.6, 0.3, { open: 0.3 }), // uh
  roundOpen: viseme(1.2, 1.5, { open: 0.52, width: -0.55 }), // aw
  round: viseme(1.1, 2, { open: 0.26, width: -0.95 }), // oo
} as const satisfies Record<string, Viseme>;

export type VisemeName = keyof typeof VISEMES;

/** Shapes of a phoneme by the beginning of its IPA name. A diphthong has two shapes in sequence. */
const VISEMES_OF: readonly (readonly [names: RegExp, shapes: readonly VisemeName[]])[] = [
  [/^aɪ/, ['open', 'spread']],
  [/^aʊ/, ['open', 'round']],
  [/^eɪ/, ['half', 'spread']],
  [/^ɔɪ/, ['roundOpen', 'spread']],
  [/^[oə]ʊ/, ['roundOpen', 'round']],
  [/^ɑːɹ/, ['open', 'rhotic']],
  [/^[ɔo]ːɹ/, ['roundOpen', 'rhotic']],
  [/^(ɪɹ|iə)/, ['spread', 'rhotic']],
  [/^(ɛɹ|eə)/, ['half', 'rhotic']],
  [/^(ʊɹ|ʊə)/, ['round', 'rhotic']],
  [/^əl/, ['slack', 'alveolar']],
  [/^[pbm]/, ['pressed']],
  [/^[fv]/, ['tucked']],
  [/^[θð]/, ['dental']],
  [/^(tʃ|dʒ|ʃ|ʒ)/, ['hushing']],
  [/^[sz]/, ['hissing']],
  [/^[tdnlɾɬ]/, ['alveolar']],
  [/^[kɡgŋxʔ]/, ['velar']],
  [/^[ɹrɚɜ]/, ['rhotic']],
  [/^w/, ['glideW']],
  [/^[ɑaɒ]/, ['open']],
  [/^[æʌ]/, ['wide']],
  [/^[ɛe]/, ['half']],
  [/^[iɪᵻjy]/, ['spread']],
  [/^[ɔo]/, ['roundOpen']],
  [/^[uʊ]/, ['round']],
  [/^./, ['slack']],
];

/** A shape that the mouth moves to, and its time. */
export interface MouthTarget {
  viseme: VisemeName;
  startSeconds: number;
  endSeconds: number;
  /** 1 for an ordinary phoneme; stressed vowels open the mouth farther. */
  effort: number;
}

/** Gap between phonemes above which the mouth comes to rest. */
const REST_AFTER_SECONDS = 0.09;
/** Time constants of moving to a shape, which starts before the phoneme is audible, and of leaving it. */
const APPROACH_SECONDS = 0.055;
const RELEASE_SECONDS = 0.045;
/** The corners of the lips are slower than the jaw, so rounding extends farther into neighboring phonemes. */
const LIP_SLOWNESS = 1.4;

/** @returns The shapes that the mouth assumes for these phonemes, including silences. */
export function mouthTargets(phonemes: readonly Phoneme[]): MouthTarget[] {
  const targets: MouthTarget[] = [];
  let silentSince = Number.NEGATIVE_INFINITY;
  for (const phoneme of phonemes) {
    const { startSeconds, endSeconds } = phoneme;
    if (startSeconds - silentSince > REST_AFTER_SECONDS) {
      targets.push({ viseme: 'silence', startSeconds: silentSince, endSeconds: startSeconds, effort: 1 });
    }
    const shapes = visemesOf(phoneme.ipa);
    const shareSeconds = (endSeconds - startSeconds) / shapes.length;
    for (const [index, name] of shapes.entries()) {
      targets.push({
        viseme: name,
        startSeconds: startSeconds + index * shareSeconds,
        endSeconds: startSeconds + (index + 1) * shareSeconds,
        effort: phoneme.stress === 2 ? 1.15 : phoneme.stress === 1 ? 1.05 : 0.9,
      });
    }
    silentSince = endSeconds;
  }
  targets.push({ viseme: 'silence', startSeconds: silentSince, endSeconds: Number.POSITIVE_INFINITY, effort: 1 });
  return targets;
}

export function visemesOf(ipa: string): readonly VisemeName[] {
  return VISEMES_OF.find(([names]) => names.test(ipa))?.[1] ?? ['silence'];
}

/**
 * @returns The mouth's shape at an instant.
 *
 * Phonemes overlap: every target attracts the mouth, the more the nearer in time and the higher its weight, and the mouth
 * assumes the weighted mean (the dominance model of Cohen and Massaro, 1993).
 */
export function mouthAt(targets: readonly MouthTarget[], seconds: number): MouthShape {
  const shape = { ...REST_MOUTH };
  let jawPull = 0;
  let lipPull = 0;
  for (const target of targets) {
    const { shape: wanted, jawWeight, lipWeight } = VISEMES[target.viseme];
    const jaw = jawWeight * nearnessOf(target, seconds, 1);
    const lip = lipWeight * nearnessOf(target, seconds, LIP_SLOWNESS);
    shape.open += jaw * wanted.open * target.effort;
    shape.press += jaw * wanted.press;
    shape.tuck += jaw * wanted.tuck;
    shape.tongue += jaw * wanted.tongue;
    shape.width += lip * wanted.width;
    jawPull += jaw;
    lipPull += lip;
  }
  if (jawPull === 0 || lipPull === 0) return { ...REST_MOUTH };
  return {
    open: Math.min(1, shape.open / jawPull),
    press: shape.press / jawPull,
    tuck: shape.tuck / jawPull,
    tongue: shape.tongue / jawPull,
    width: shape.width / lipPull,
  };
}

/** @returns A target's dominance: 1 in its middle, decreasing toward its ends and beyond. */
function nearnessOf({ startSeconds, endSeconds }: MouthTarget, seconds: number, slowness: number): number {
  // The middle third is held; of a long silence, all but its ends.
  const third = Math.min((endSeconds - startSeconds) / 3, 0.06);
  const before = startSeconds + third - seconds;
  const after = seconds - (endSeconds - third);
  if (before > 0) return Math.exp(-((before / (APPROACH_SECONDS * slowness)) ** 2));
  if (after > 0) return Math.exp(-((after / (RELEASE_SECONDS * slowness)) ** 2));
  return 1;
}
