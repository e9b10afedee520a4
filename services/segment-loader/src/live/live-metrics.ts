import type { Registry } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';

const name = (suffix: string) => `humancast_loader_live_${suffix}`;

/** What live pushes count. */
export class LiveMetrics {
  readonly #registry: Registry;
  readonly #frames: Counter;
  readonly #seconds: Counter;
  readonly #failures: Counter<'code'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#registry = registry;
    this.#frames = new Counter({ name: name('frames_total'), help: 'Frames of live pushes encoded', registers });
    this.#seconds = new Counter({
      name: name('media_seconds_total'),
      help: 'Seconds of media that live pushes became',
      registers,
    });
    this.#failures = new Counter({
      name: name('failures_total'),
      help: 'Live pushes that ended early, by error code',
      labelNames: ['code'],
      registers,
    });
  }

  /** Gauges that are read when they are asked for. */
  watch(pushes: () => number): void {
    new Gauge({
      name: name('pushes'),
      help: 'Live pushes that are connected',
      registers: [this.#registry],
      collect() {
        this.set(pushes());
      },
    });
  }

  frameEncoded(): void {
    this.#frames.inc();
  }

  ended(durationMs: number): void {
    this.#seconds.inc(durationMs / 1000);
  }

  failed(code: string): void {
    this.#failures.inc({ code });
  }
}
