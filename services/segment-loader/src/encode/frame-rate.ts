import type { Rational } from '@humancast/shared';
import type { VideoTrack } from '../probe/media-info.js';

const MAX_FPS = 60;
/** Slower than this, a lost frame is missed for too long; frames are repeated instead. */
const MIN_FPS = 5;
/** Average and nominal rate of a constant-rate file differ by rounding only. */
const CONSTANT_WITHIN = 0.001;

const COMMON_RATES: readonly Rational[] = [10, 12, 15, 20, 24, 25, 30, 50, 60].map((num) => ({ num, den: 1 }));

/**
 * The constant rate a source is brought to: its own, exactly, when it is constant and up to 60; a whole fraction of it
 * when it is faster (240 → 60, 120000/1001 → 60000/1001); the nearest common rate when it varies.
 */
export function chooseFrameRate({
  averageRate,
  nominalRate,
}: Pick<VideoTrack, 'averageRate' | 'nominalRate'>): Rational {
  const average = averageRate ?? nominalRate;
  if (!average) return { num: 25, den: 1 };
  const nominal = nominalRate ?? average;
  const isConstant = Math.abs(framesPerSecond(average) / framesPerSecond(nominal) - 1) <= CONSTANT_WITHIN;
  if (!isConstant) return nearestCommon(framesPerSecond(average));
  const rate = reduced({ num: nominal.num, den: nominal.den * Math.ceil(framesPerSecond(nominal) / MAX_FPS - 1e-6) });
  return rate && framesPerSecond(rate) >= MIN_FPS ? rate : nearestCommon(framesPerSecond(average));
}

/** Frames between keyframes: the whole number of frames nearest to `gopMs`, at least one. */
export function gopFramesOf(gopMs: number, fps: Rational): number {
  return Math.max(1, Math.round((gopMs * fps.num) / (1000 * fps.den)));
}

export function framesPerSecond({ num, den }: Rational): number {
  return num / den;
}

function nearestCommon(fps: number): Rational {
  const distance = (rate: Rational) => Math.abs(Math.log(framesPerSecond(rate) / fps));
  return COMMON_RATES.reduce((best, rate) => (distance(rate) < distance(best) ? rate : best));
}

/** `undefined` when the terms are larger than a manifest holds: then it was never an exact rate. */
function reduced({ num, den }: Rational): Rational | undefined {
  const divisor = greatestCommonDivisor(num, den);
  const rate = { num: num / divisor, den: den / divisor };
  return rate.num <= 1_000_000 && rate.den <= 1_000_000 ? rate : undefined;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
