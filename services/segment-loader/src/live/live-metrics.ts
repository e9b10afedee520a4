import { ERRORS } from '@humancast/protocol';
import { FastHistogram, type HistogramSeries, type Registry } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';

const LAG_BUCKETS = [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5, 10];

const name = (suffix: string) => `humancast_loader_live_${suffix}`;

/** Metrics of live pushes. */
export class LiveMetrics {
  readonly #registry: Registry;
  readonly #frames: Counter;
  readonly #seconds: Counter;
  readonly #failures: Counter<'code'>;
  readonly #renditionsDropped: Counter;
  readonly #lag: HistogramSeries;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#registry = registry;
    this.#frames = new Counter({ name: name('frames_total'), help: 'Frames encoded for live pushes', registers });
    this.#seconds = new Counter({
      name: name('media_seconds_total'),
      help: 'Duration of the media produced by live pushes',
      registers,
    });
    this.#renditionsDropped = new Counter({
      name: name('renditions_dropped_total'),
      help: 'Renditions that live pushes left out for a time because encoding was slower than real time',
      registers,
    });
    this.#failures = new Counter({
      name: name('failures_total'),
      help: 'Live pushes that ended early, by error code',
      labelNames: ['code'],
      registers,
    });
    // Prometheus sees no increase in a counter whose first value is 1.
    for (const code of Object.keys(ERRORS)) this.#failures.inc({ code }, 0);
    this.#lag = new FastHistogram({
      name: name('lag_seconds'),
      help: 'Lag of playable media behind the time since the push started, observed with each status message',
      buckets: LAG_BUCKETS,
      registry,
    }).series({});
  }

  /** Observed with each status message. */
  lagged(lagMs: number): void {
    this.#lag.observe(lagMs / 1000);
  }

  /** Registers gauges that are read on scrape. */
  watch(pushes: () => number): void {
    new Gauge({
      name: name('pushes'),
      help: 'Open live pushes',
      registers: [this.#registry],
      collect() {
        this.set(pushes());
      },
    });
  }

  frameEncoded(): void {
    this.#frames.inc();
  }

  renditionsDropped(count: number): void {
    this.#renditionsDropped.inc(count);
  }

  ended(durationMs: number): void {
    this.#seconds.inc(durationMs / 1000);
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }
}
