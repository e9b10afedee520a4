/** A histogram's cumulative counts, by upper bound. */
export type Buckets = ReadonlyMap<number, number>;

/** Reads one histogram of a `/metrics` page (Prometheus text format), of the series that has this label. */
export async function readHistogram(metricsUrl: string, name: string, label: string): Promise<Buckets> {
  const text = await (await fetch(`${metricsUrl}/metrics`, { signal: AbortSignal.timeout(5000) })).text();
  const buckets = new Map<number, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}_bucket{`) || !line.includes(label)) continue;
    const bound = /le="([^"]+)"/.exec(line)?.[1] ?? '';
    buckets.set(bound === '+Inf' ? Number.POSITIVE_INFINITY : Number(bound), Number(line.slice(line.lastIndexOf(' '))));
  }
  return buckets;
}

/** What was counted between two readings. */
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

/** As Prometheus' `histogram_quantile`: linear inside a bucket; exact where the answer is a bucket's bound. */
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
