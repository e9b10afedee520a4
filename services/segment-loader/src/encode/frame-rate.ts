import type { Rational } from '@humancast/protocol';
import type { VideoTrack } from '../probe/media-info.js';

const MAX_FPS = 60;
/** Slower than this, a lost frame is missed for too long; frames are repeated instead. */
const MIN_FPS = 5;
/** Timestamps in milliseconds leave the rate of a short clip open by so much. */
const SAME_WITHIN = 0.002;

const COMMON_RATES: readonly Rational[] = [10, 12, 15, 20, 24, 25, 30, 50, 60].map((num) => ({ num, den: 1 }));
/** Further rates of cameras and broadcasting that a file may mean without saying so. */
const NAMED_RATES: readonly Rational[] = [
  ...COMMON_RATES,
  ...[24_000, 30_000, 48_000, 60_000, 120_000].map((num) => ({ num, den: 1001 })),
  ...[48, 90, 100, 120, 240].map((num) => ({ num, den: 1 })),
];

/**
 * The constant rate a source is brought to, by the timestamps of its frames: its own, exactly, when it is constant and up to
 * 60; a whole fraction of it when it is faster (240 → 60, 120000/1001 → 60000/1001); the nearest common rate when it varies.
 * What the header says serves only to tell rates apart that rounded timestamps can't.
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

/** A rate that frames can have; a nominal rate of 1000 is the clock of a container. */
function plausible(rate: Rational | undefined): Rational | undefined {
  return rate && framesPerSecond(rate) <= MAX_FPS * (1 + SAME_WITHIN) ? fraction(rate) : undefined;
}

function sameRate(fps: number, rates: readonly (Rational | undefined)[]): Rational | undefined {
  const distance = (rate: Rational) => Math.abs(framesPerSecond(rate) / fps - 1);
  const near = rates.filter((rate) => rate !== undefined).filter((rate) => distance(rate) <= SAME_WITHIN);
  return near.length === 0 ? undefined : near.reduce((best, rate) => (distance(rate) < distance(best) ? rate : best));
}

/** The rate, or a whole fraction of it that is at most 60; `undefined` when that is too slow, or no manifest holds it. */
function fraction(rate: Rational | undefined): Rational | undefined {
  if (!rate) return undefined;
  const exact = reduced({ num: rate.num, den: rate.den * Math.ceil(framesPerSecond(rate) / MAX_FPS - 1e-6) });
  return exact && framesPerSecond(exact) >= MIN_FPS ? exact : undefined;
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
