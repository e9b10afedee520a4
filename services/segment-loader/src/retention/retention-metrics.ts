import { Counter, Gauge, type Registry } from 'prom-client';

/** What is kept, what goes, and what came back. */
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
      help: 'Segments removed because others needed the room, least recently used first',
      registers,
    });
    this.restored = new Counter({
      name: 'humancast_loader_restored_total',
      help: 'Segments brought back from the archive after the media store had lost them',
      registers,
    });
    this.archiveFailures = new Counter({
      name: 'humancast_loader_archive_failures_total',
      help: 'Segments that could not be archived, or whose archived file is damaged',
      registers,
    });
    this.bytes = new Gauge({
      name: 'humancast_loader_store_bytes',
      help: 'Bytes of encoded video and PCM that segments take up in the media store',
      registers,
    });
    this.quotaBytes = new Gauge({
      name: 'humancast_loader_store_quota_bytes',
      help: 'Bytes that segments may take up in the media store before those least recently used go; 0: no quota',
      registers,
    });
  }
}
