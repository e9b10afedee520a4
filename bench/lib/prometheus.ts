/** A histogram's cumulative counts, by upper bound. */
export type Buckets = ReadonlyMap<number, number>;

/** Reads the histogram with this label from a `/metrics` page (Prometheus text format). */
export async function readHistogram(metricsUrl: string, name: string, label: string): Promise<Buckets> {
  const buckets = new Map<number, number>();
  for (const line of await readLines(metricsUrl)) {
    if (!line.startsWith(`${name}_bucket{`) || !line.includes(label)) continue;
    const bound = /le="([^"]+)"/.exec(line)?.[1] ?? '';
    buckets.set(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), Number(line.slice(line.lastIndexOf(' '))));
  }
  return buckets;
}

/** Reads the sum and the count of a histogram's series that has this label, or of its only one; 0 if there is none. */
export async function readSum(metricsUrl: string, name: string, label = ''): Promise<{ sum: number; count: number }> {
  const lines = await readLines(metricsUrl);
  const numberOf = (suffix: string) => {
    const line = lines.find((one) => one.startsWith(`${name}_${suffix}{`) && one.includes(label)) ?? '';
    return Number(line.slice(line.lastIndexOf(' ')));
  };
  return { sum: numberOf('sum'), count: numberOf('count') };
}

async function readLines(metricsUrl: string): Promise<string[]> {
  const answer = await fetch(`${metricsUrl}/metrics`, { signal: AbortSignal.timeout(5000) });
  return (await answer.text()).split('\n');
}

/** @returns the counts between two readings. */
export function countedBetween(before: Buckets, after: Buckets): Buckets {
  return new Map([...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]));
}

export function sumOf(...histograms: readonly Buckets[]): Buckets {
  const sum = new Map<number, number>();
  for (const [bound, count] of histograms.flatMap((histogram) => [...histogram])) {
    sum.set(bound, (sum.get(bound) ?? 0) + count);
  }
  return sum;
}

/** @returns a quantile like Prometheus' `histogram_quantile`: linear inside a bucket, exact at its bound. */
export function quantile(histogram: Buckets, share: number): number {
  const sorted = [...histogram].toSorted(([a], [b]) => a - b);
  const rank = share * (sorted.at(-1)?.[1] ?? 0);
  let [lower, below] = [0, 0];
  for (const [bound, count] of sorted) {
    if (count >= rank && count > below) {
      return Number.isFinite(bound) ? lower + ((bound - lower) * (rank - below)) / (count - below) : lower;
    }
    [lower, below] = [bound, count];
  }
  return Number.NaN;
}
