const FULL_SCALE = 32_768;

/** @returns Samples of −1…1. */
export function fromInt16(samples: Int16Array): Float64Array {
  return Float64Array.from(samples, (sample) => sample / FULL_SCALE);
}

/** @param samples −1…1; louder ones are clipped. */
export function toInt16(samples: Float64Array): Int16Array {
  return Int16Array.from(samples, (sample) =>
    Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, Math.round(sample * FULL_SCALE))),
  );
}
