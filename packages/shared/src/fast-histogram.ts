import type { Metric, MetricValueWithName, Registry } from 'prom-client';

/** The counts of one series. Observing allocates nothing and needs no lookup, so it is suitable for the packet path. */
export class HistogramSeries {
  readonly #bounds: readonly number[];
  /** Counts per bucket (not cumulative), count above all bounds, and sum. */
  readonly #cells: Float64Array;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#cells = new Float64Array(bounds.length + 2);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    const cells = this.#cells;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket++;
    cells[bucket] = (cells[bucket] as number) + 1;
    cells[bounds.length + 1] = (cells[bounds.length + 1] as number) + value;
  }

  /** @returns The cumulative counts by bound, and the total. */
  get cumulative(): number[] {
    let count = 0;
    return Array.from(this.#cells.subarray(0, -1), (cell) => {
      count += cell;
      return count;
    });
  }

  get count(): number {
    return this.cumulative.at(-1) ?? 0;
  }

  get sum(): number {
    return this.#cells.at(-1) ?? 0;
  }

  reset(): void {
    this.#cells.fill(0);
  }
}

export interface FastHistogramOptions<L extends string> {
  readonly name: string;
  readonly help: string;
  readonly labelNames?: readonly L[];
  /** Upper bounds in ascending order; may be negative. */
  readonly buckets: readonly number[];
  readonly registry: Registry;
}

/** A histogram in Prometheus format, because prom-client's hashes the labels of each observation. */
export class FastHistogram<L extends string = never> {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly labelNames: readonly L[];
  readonly aggregator = 'sum';
  readonly #buckets: readonly number[];
  readonly #series: { labels: Readonly<Record<L, string>>; series: HistogramSeries }[] = [];

  constructor({ name, help, labelNames = [], buckets, registry }: FastHistogramOptions<L>) {
    this.name = name;
    this.help = help;
    this.labelNames = labelNames;
    this.#buckets = buckets;
    // A registry uses only these members of a metric; its type requires prom-client's classes.
    registry.registerMetric(this as unknown as Metric);
  }

  /** @returns A new series. Call it once at set-up and keep the result, because every call adds a series. */
  series(labels: Readonly<Record<L, string>>): HistogramSeries {
    const series = new HistogramSeries(this.#buckets);
    this.#series.push({ labels, series });
    return series;
  }

  async get() {
    const values: MetricValueWithName<string>[] = this.#series.flatMap(({ labels, series }) => {
      const counts = series.cumulative;
      const count = counts.at(-1) ?? 0;
      const bounds = [...this.#buckets, '+Inf'];
      return [
        ...bounds.map((le, i) => ({
          metricName: `${this.name}_bucket`,
          labels: { le, ...labels },
          value: counts[i] ?? 0,
        })),
        { metricName: `${this.name}_sum`, labels, value: series.sum },
        { metricName: `${this.name}_count`, labels, value: count },
      ];
    });
    const { name, help, type, aggregator } = this;
    return { name, help, type, aggregator, values };
  }

  reset(): void {
    for (const { series } of this.#series) series.reset();
  }
}
