/**
 * @param values in any order; missing measurements may be infinite.
 * @param share 0 to 1.
 * @returns the percentile, linear between ranks; `NaN` without values.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const rank = (sorted.length - 1) * share;
  const below = sorted[Math.floor(rank)] ?? Number.NaN;
  const above = sorted[Math.ceil(rank)] ?? Number.NaN;
  return below === above ? below : below + (above - below) * (rank - Math.floor(rank));
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export function spread(values: readonly number[]): number {
  return Math.max(...values) - Math.min(...values);
}

export interface Line {
  readonly slope: number;
  readonly intercept: number;
  /** Half the width of the slope's 95 % confidence interval. */
  readonly slopeMargin: number;
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** Fits a line by ordinary least squares. */
export function fitLine(points: readonly Point[]): Line {
  const n = points.length;
  const meanX = mean(points.map(({ x }) => x));
  const meanY = mean(points.map(({ y }) => y));
  let xx = 0;
  let xy = 0;
  for (const { x, y } of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  const slope = xy / xx;
  const intercept = meanY - slope * meanX;
  const residuals = points.reduce((sum, { x, y }) => sum + (y - intercept - slope * x) ** 2, 0);
  const slopeMargin = n > 2 ? studentT975(n - 2) * Math.sqrt(residuals / (n - 2) / xx) : Number.POSITIVE_INFINITY;
  return { slope, intercept, slopeMargin };
}

/**
 * @returns the trend of an autocorrelated series (a jitter buffer that has moved stays there), fitted through the means of
 * blocks, because a fit through the values would have a far too narrow confidence interval.
 */
export function trend(points: readonly Point[], blocks = 20): Line {
  const first = Math.min(...points.map(({ x }) => x));
  const width = (Math.max(...points.map(({ x }) => x)) - first) / blocks;
  const groups = new Map<number, Point[]>();
  for (const point of points) {
    const block = Math.min(blocks - 1, Math.floor((point.x - first) / width));
    groups.set(block, [...(groups.get(block) ?? []), point]);
  }
  return fitLine(
    [...groups.values()].map((group) => ({ x: mean(group.map(({ x }) => x)), y: mean(group.map(({ y }) => y)) })),
  );
}

/** @returns Student's t at 97.5 %, by the Cornish–Fisher expansion: within 1 % from 4 degrees of freedom on. */
function studentT975(degrees: number): number {
  const z = 1.959964;
  return z + (z ** 3 + z) / (4 * degrees) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2);
}
