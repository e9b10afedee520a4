import type { Rational } from '@humancast/protocol';
import type { VideoTrack } from '../probe/media-info.js';

const MAX_FPS = 60;
/** Minimum rate, reached by repeating frames: at a lower one, a lost frame would be missing for too long. */
const MIN_FPS = 5;
/** Relative tolerance for equal rates: millisecond timestamps determine the rate of a short clip only this exactly. */
const SAME_WITHIN = 0.002;

const COMMON_RATES: readonly Rational[] = [10, 12, 15, 20, 24, 25, 30, 50, 60].map((num) => ({ num, den: 1 }));
/** Further rates of cameras and broadcasting that a file may have without stating them. */
const NAMED_RATES: readonly Rational[] = [
  ...COMMON_RATES,
  ...[24_000, 30_000, 48_000, 60_000, 120_000].map((num) => ({ num, den: 1001 })),
  ...[48, 90, 100, 120, 240].map((num) => ({ num, den: 1 })),
];

/**
 * Chooses the constant rate to which a source is converted, from the timestamps of its frames: its own, exactly, if it is
 * constant and up to 60; a whole fraction of it if it is faster (240 → 60, 120000/1001 → 60000/1001); the nearest common
 * rate if it varies. The header's rate serves only to distinguish rates that rounded timestamps can't.
 */
export function chooseFrameRate(video: Pick<VideoTrack, 'averageRate' | 'nominalRate' | 'frameTimes'>): Rational {
  const { averageRate, nominalRate, frameTimes } = video;
  if (!frameTimes) return plausible(nominalRate) ?? plausible(averageRate) ?? DEFAULT_RATE;
  const fps = 1 / frameTimes.seconds;
  const exact =
    sameRate(fps, [nominalRate, frameTimes.isSteady ? averageRate : undefined]) ?? sameRate(fps, NAMED_RATES);
  const steady = frameTimes.isSteady ? { num: Math.round(fps * 1000), den: 1000 } : undefined;
  return fraction(exact ?? steady) ?? nearestCommon(fps);
}

const DEFAULT_RATE: Rational = { num: 25, den: 1 };

/** @returns The rate if frames can have it; a nominal rate of 1000 is a container's clock. */
function plausible(rate: Rational | undefined): Rational | undefined {
  return rate && framesPerSecond(rate) <= MAX_FPS * (1 + SAME_WITHIN) ? fraction(rate) : undefined;
}

function sameRate(fps: number, rates: readonly (Rational | undefined)[]): Rational | undefined {
  const distance = (rate: Rational) => Math.abs(framesPerSecond(rate) / fps - 1);
  const near = rates.filter((rate) => rate !== undefined).filter((rate) => distance(rate) <= SAME_WITHIN);
  return near.length === 0 ? undefined : near.reduce((best, rate) => (distance(rate) < distance(best) ? rate : best));
}

/**
 * @returns The rate, or a whole fraction of it that is at most 60; `undefined` if that is too slow, or exceeds a manifest's
 * range.
 */
function fraction(rate: Rational | undefined): Rational | undefined {
  if (!rate) return undefined;
  const exact = reduced({ num: rate.num, den: rate.den * Math.ceil(framesPerSecond(rate) / MAX_FPS - 1e-6) });
  return exact && framesPerSecond(exact) >= MIN_FPS ? exact : undefined;
}

/** @returns The number of frames between keyframes: the whole number nearest to `gopMs`, at least one. */
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

/** @returns `undefined` if the terms exceed a manifest's range; then it was never an exact rate. */
function reduced({ num, den }: Rational): Rational | undefined {
  const divisor = greatestCommonDivisor(num, den);
  const rate = { num: num / divisor, den: den / divisor };
  return rate.num <= 1_000_000 && rate.den <= 1_000_000 ? rate : undefined;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
