/** Distance between frames, by their own timestamps. */
export interface FrameTimes {
  /** Usual distance of two frames, s. */
  readonly seconds: number;
  /** Whether nearly all distances are the usual one, or a whole multiple where frames are missing. */
  readonly isSteady: boolean;
}

/** Error of a distance between rounded timestamps: milliseconds are the coarsest clock of a container. */
const ROUNDING_SECONDS = 0.0011;
/** Relative tolerance for the usual distance. */
const USUAL_WITHIN = 0.35;
/** Share of usual distances below which there are several distances, as in telecined film (2:3). */
const USUAL_SHARE = 0.75;
const STEADY_SHARE = 0.95;
/** Multiple of the usual distance above which recording was paused. */
const PAUSE_RATIO = 3;

/**
 * @param times Ascending timestamps of frames, in a list per continuous part of the clock.
 * @returns `undefined` if there are too few frames.
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

/** @returns The frame duration by least squares, which hardly depends on where a pattern of distances begins and ends. */
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
