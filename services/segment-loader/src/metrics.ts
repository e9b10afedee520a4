import { ERRORS } from '@humancast/protocol';
import { type HumancastError } from '@humancast/shared';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const name = (suffix: string) => `humancast_loader_${suffix}`;

export interface LoaderLevels {
  readonly uploads: () => number;
  readonly running: () => number;
  readonly waitingUploads: () => number;
  readonly waitingLibrary: () => number;
  readonly waitingLadders: () => number;
  readonly problems: () => number;
}

/** Metrics of this service; each name starts with `humancast_loader_`. */
export class LoaderMetrics {
  readonly failures: Counter<'code'>;
  /** Renditions that a segment does without. */
  readonly renditionFailures: Counter<'code'>;
  readonly limited: Counter<'limit'>;
  readonly bytes: Counter<'kind'>;
  readonly #registry: Registry;
  readonly #loadSeconds: Histogram<'source'>;
  readonly #mediaSeconds: Counter<'source'>;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#registry = registry;
    this.#loadSeconds = new Histogram({
      name: name('load_seconds'),
      help: 'Time from the start of a load to the published segment',
      labelNames: ['source'],
      buckets: [0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800],
      registers,
    });
    this.#mediaSeconds = new Counter({
      name: name('media_seconds_total'),
      help: 'Duration of the media loaded; divided by load_seconds_sum, the speed relative to real time',
      labelNames: ['source'],
      registers,
    });
    this.limited = new Counter({
      name: name('limited_total'),
      help: 'Requests and connections rejected by a limit, by setting',
      labelNames: ['limit'],
      registers,
    });
    this.failures = new Counter({
      name: name('failures_total'),
      help: 'Failed loads, by error code',
      labelNames: ['code'],
      registers,
    });
    this.renditionFailures = new Counter({
      name: name('rendition_failures_total'),
      help: 'Further renditions that could not be encoded, by error code; their segments are played without them',
      labelNames: ['code'],
      registers,
    });
    // Prometheus sees no increase in a counter whose first value is 1.
    for (const source of ['library', 'upload']) {
      this.#loadSeconds.zero({ source });
      this.#mediaSeconds.inc({ source }, 0);
    }
    for (const code of Object.keys(ERRORS).filter(isOfLoading)) {
      this.failures.inc({ code }, 0);
      this.renditionFailures.inc({ code }, 0);
    }
    this.bytes = new Counter({
      name: name('written_bytes_total'),
      help: 'Bytes of encoded video and PCM written to the media store',
      labelNames: ['kind'],
      registers,
    });
  }

  /** Counts an error that was returned to a caller. */
  countError({ extra }: HumancastError): void {
    if (typeof extra['limit'] === 'string') this.limited.inc({ limit: extra['limit'] });
  }

  /** Registers gauges that are read on scrape. */
  watch(levels: LoaderLevels): void {
    this.#gauge('uploads', 'Uploads in progress, from first byte to segment', levels.uploads);
    this.#gauge('running_loads', 'Loads being encoded', levels.running);
    this.#gauge('waiting_uploads', 'Uploads queued for encoding', levels.waitingUploads);
    this.#gauge('waiting_library', 'Library files queued for encoding', levels.waitingLibrary);
    this.#gauge(
      'waiting_ladders',
      'Segments that can be played and wait for further renditions',
      levels.waitingLadders,
    );
    this.#gauge('library_problems', 'Library files that cannot be loaded', levels.problems);
  }

  loaded(loadSeconds: number, mediaSeconds: number, source: 'library' | 'upload'): void {
    this.#loadSeconds.observe({ source }, loadSeconds);
    this.#mediaSeconds.inc({ source }, mediaSeconds);
  }

  #gauge(suffix: string, help: string, level: () => number): void {
    new Gauge({
      name: name(suffix),
      help,
      registers: [this.#registry],
      collect() {
        this.set(level());
      },
    });
  }
}

/** @returns Whether a load can fail with this code. */
function isOfLoading(code: string): boolean {
  return code.startsWith('media_') || ['encoder_failed', 'disk_full', 'unavailable', 'internal'].includes(code);
}
