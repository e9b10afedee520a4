import { type Line, mean, type Point, trend } from '../lib/stats.ts';
import type { Pair } from './pairs.ts';

/** Flashes and beeps come once a second. */
const INTERVAL_MS = 1000;
const NOMINAL_REFRESH_MS = 1000 / 60;
/** Pages are told times in tenths of a millisecond: the slip from one flash to the next is seen over so many. */
const SLIP_FLASHES = 60;
/** Less than this a second is below what can be told from rounding, and below any trend that matters. */
const LEAST_SLIP_MS = 0.002;

/**
 * The screen's refreshes, the only instants at which a flash can be presented. Where their period doesn't divide a second
 * exactly (Chromium without a screen counts 16.666 ms), each flash falls a little later into its refresh than the one before,
 * until it skips one: picture against voice as presented is a sawtooth one refresh high, whatever the player does.
 */
export interface RefreshGrid {
  readonly periodMs: number;
  /** How far a flash slips against the refreshes from one to the next. */
  readonly slipMs: number;
  /** Length of a tooth: after so many flashes they fall into the refresh as they did. Infinite where nothing slips. */
  readonly toothFlashes: number;
}

/** @param pairs in their order, of flashes that were presented on the grid. */
export function refreshGridOf(pairs: readonly Pair[]): RefreshGrid {
  const flashes = pairs.map(({ atMs, errorMs }) => atMs + errorMs);
  const spanMs = SLIP_FLASHES * INTERVAL_MS;
  const apart = flashes.slice(SLIP_FLASHES).map((flash, i) => flash - (flashes[i] as number));
  // Left out are those between which a refresh was skipped, or a flash is missing.
  const usualMs = mean(apart.filter((ms) => Math.abs(ms - spanMs) < NOMINAL_REFRESH_MS / 2)) / SLIP_FLASHES;
  const slipMs = INTERVAL_MS - usualMs;
  const periodMs = usualMs / Math.round(usualMs / NOMINAL_REFRESH_MS);
  const slips = Math.abs(slipMs) >= LEAST_SLIP_MS;
  return { periodMs, slipMs, toothFlashes: slips ? periodMs / Math.abs(slipMs) : Number.POSITIVE_INFINITY };
}

/**
 * The trend of picture against voice under the sawtooth: each pair is replaced by the mean of the tooth that begins with it,
 * from which the refreshes have taken the same wherever it begins. Only what drifts is left.
 * @returns ms per ms; `undefined` where the run isn't two teeth long, so that nothing can be told from the refreshes.
 */
export function trendOnGrid(pairs: readonly Pair[], { toothFlashes }: RefreshGrid): Line | undefined {
  const tooth = Math.round(toothFlashes);
  const teeth = teethOf(pairs, tooth);
  return teeth.length < tooth ? undefined : trend(teeth);
}

function teethOf(pairs: readonly Pair[], tooth: number): Point[] {
  const spanMs = tooth * INTERVAL_MS;
  const endMs = (pairs.at(-1)?.atMs ?? 0) + INTERVAL_MS;
  const points: Point[] = [];
  for (let from = 0, to = 0; from < pairs.length; from++) {
    const toMs = (pairs[from] as Pair).atMs + spanMs - INTERVAL_MS / 2;
    if (toMs > endMs) break;
    while (to < pairs.length && (pairs[to] as Pair).atMs < toMs) to++;
    const within = pairs.slice(from, to);
    points.push({ x: mean(within.map(({ atMs }) => atMs)), y: mean(within.map(({ errorMs }) => errorMs)) });
  }
  return points;
}
