import { type Line, mean, type Point, trend } from '../lib/stats.ts';
import type { Pair } from './pairs.ts';

/** Flashes and beeps come once a second. */
const INTERVAL_MS = 1000;
const NOMINAL_REFRESH_MS = 1000 / 60;
/** Number of flashes over which the slip is measured, because page clocks have a resolution of 0.1 ms. */
const SLIP_FLASHES = 60;
/** Slip per second below which it is indistinguishable from rounding and irrelevant, ms. */
const LEAST_SLIP_MS = 0.002;

/**
 * The screen's refreshes, the only instants at which a flash can be presented. If their period does not divide a second
 * exactly (headless Chromium counts 16.666 ms), each flash falls a little later into its refresh than the one before, until
 * it skips one. The presented video offset is therefore a sawtooth one refresh high, whatever the player does.
 */
export interface RefreshGrid {
  readonly periodMs: number;
  /** Slip of a flash against the refreshes, per flash. */
  readonly slipMs: number;
  /** Length of a tooth: number of flashes after which the pattern repeats. Infinite without slip. */
  readonly toothFlashes: number;
}

/** @param pairs in order, with flashes presented on the grid. */
export function refreshGridOf(pairs: readonly Pair[]): RefreshGrid {
  const flashes = pairs.map(({ atMs, errorMs }) => atMs + errorMs);
  const spanMs = SLIP_FLASHES * INTERVAL_MS;
  const apart = flashes.slice(SLIP_FLASHES).map((flash, i) => flash - (flashes[i] as number));
  // Skips intervals with a skipped refresh or a missing flash.
  const usualMs = mean(apart.filter((ms) => Math.abs(ms - spanMs) < NOMINAL_REFRESH_MS / 2)) / SLIP_FLASHES;
  const slipMs = INTERVAL_MS - usualMs;
  const periodMs = usualMs / Math.round(usualMs / NOMINAL_REFRESH_MS);
  const slips = Math.abs(slipMs) >= LEAST_SLIP_MS;
  return { periodMs, slipMs, toothFlashes: slips ? periodMs / Math.abs(slipMs) : Number.POSITIVE_INFINITY };
}

/**
 * Fits the trend of the presented offset without the sawtooth: each pair is replaced by the mean of the tooth that starts
 * with it, to which the refreshes contribute equally.
 * @returns ms per ms; `undefined` if the run is shorter than two teeth.
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
