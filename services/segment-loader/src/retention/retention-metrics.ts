import { Counter, Gauge, type Registry } from 'prom-client';

/** Metrics of quota, evictions and archive. */
export class RetentionMetrics {
  readonly evictions: Counter;
  readonly restored: Counter;
  readonly archiveFailures: Counter;
  readonly bytes: Gauge;
  readonly quotaBytes: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.evictions = new Counter({
      name: 'humancast_loader_evictions_total',
      help: 'Segments evicted, least recently used first',
      registers,
    });
    this.restored = new Counter({
      name: 'humancast_loader_restored_total',
      help: 'Segments restored from the archive',
      registers,
    });
    this.archiveFailures = new Counter({
      name: 'humancast_loader_archive_failures_total',
      help: 'Segments that could not be archived or whose archive file is damaged',
      registers,
    });
    this.bytes = new Gauge({
      name: 'humancast_loader_store_bytes',
      help: 'Size of all segments in the media store',
      registers,
    });
    this.quotaBytes = new Gauge({
      name: 'humancast_loader_store_quota_bytes',
      help: 'Size of all segments above which the least recently used are evicted; 0: no quota',
      registers,
    });
  }
}
