/** How far apart frames are, by their own timestamps. */
export interface FrameTimes {
  /** The usual time between two frames, s. */
  readonly seconds: number;
  /** Whether nearly all of them are that far apart, or a whole multiple where frames were left out. */
  readonly isSteady: boolean;
}

/** Milliseconds are the coarsest clock of a container; two rounded timestamps are off by one of them. */
const ROUNDING_SECONDS = 0.0011;
/** What still counts as the usual distance. */
const USUAL_WITHIN = 0.35;
/** With less than this share at the usual distance there is more than one of them, as in telecined film (2:3). */
const USUAL_SHARE = 0.75;
const STEADY_SHARE = 0.95;
/** Longer than so many usual ones, nothing was recorded meanwhile. */
const PAUSE_RATIO = 3;

/**
 * @param times of frames, ascending, a list for each stretch in which the clock runs on.
 * @returns `undefined` where there are too few frames to tell.
 */
export function frameTimesOf(times: readonly (readonly number[])[]): FrameTimes | undefined {
  const inOrder = times
    .flatMap((list) => list.slice(1).map((time, i) => time - (list[i] ?? time)))
    .filter((distance) => distance > 1e-6);
  const distances = inOrder.toSorted((a, b) => a - b);
  const median = distances[distances.length >> 1];
  if (median === undefined) return undefined;
  const isUsual = (distance: number) => Math.abs(distance - median) <= allowed(median, median * USUAL_WITHIN);
  const usual = inOrder.filter(isUsual);
  const hasOne = usual.length >= distances.length * USUAL_SHARE;
  const seconds = slope(hasOne ? usual : inOrder.filter((distance) => distance <= median * PAUSE_RATIO));
  const steady = distances.filter((distance) => {
    const steps = Math.max(1, Math.round(distance / seconds));
    return Math.abs(distance - steps * seconds) <= allowed(seconds, 0);
  });
  return { seconds, isSteady: hasOne && steady.length >= distances.length * STEADY_SHARE };
}

function allowed(seconds: number, within: number): number {
  return Math.max(within, Math.min(ROUNDING_SECONDS, seconds / 2));
}

/** The time of a frame by least squares, which hardly depends on where a pattern of distances begins and ends. */
function slope(distances: readonly number[]): number {
  const middle = distances.length / 2;
  let [time, products, squares] = [0, 0, middle * middle];
  for (const [i, distance] of distances.entries()) {
    time += distance;
    products += (i + 1 - middle) * time;
    squares += (i + 1 - middle) ** 2;
  }
  return products / squares;
}
