import type { Registry } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';
import type { FleetLevels } from './fleet-probe.js';

const DATABASES = ['queue', 'media'] as const;
const QUEUES = ['sessions', 'segments'] as const;

/**
 * Metrics of shared queues and databases. Every signaling process reports the same values, so queries take the maximum, not
 * the sum. Values of a database that does not answer are omitted.
 */
export function registerFleetMetrics(registry: Registry, read: () => Promise<FleetLevels>): void {
  const registers = [registry];
  new Gauge({
    name: 'humancast_redis_up',
    help: '1 if the database answers within a second, else 0',
    labelNames: ['redis'],
    registers,
    async collect() {
      const { redis } = await read();
      for (const name of DATABASES) this.set({ redis: name }, redis[name] ? 1 : 0);
    },
  });
  for (const { name, help, field } of [
    { name: 'humancast_redis_memory_bytes', help: 'Memory used', field: 'memoryBytes' },
    {
      name: 'humancast_redis_memory_limit_bytes',
      help: 'maxmemory; 0: unlimited',
      field: 'memoryLimitBytes',
    },
    { name: 'humancast_redis_clients', help: 'Connected clients', field: 'clients' },
  ] as const) {
    new Gauge({
      name,
      help,
      labelNames: ['redis'],
      registers,
      async collect() {
        const { redis } = await read();
        this.reset();
        for (const database of DATABASES) {
          const info = redis[database];
          if (info) this.set({ redis: database }, info[field]);
        }
      },
    });
  }
  new Gauge({
    name: 'humancast_redis_disk_ok',
    help: '1 if the last write reached the disk; at 0 the database rejects all writes',
    labelNames: ['redis'],
    registers,
    async collect() {
      const { redis } = await read();
      this.reset();
      for (const database of DATABASES) {
        const info = redis[database];
        if (info) this.set({ redis: database }, info.diskOk ? 1 : 0);
      }
    },
  });
  new Counter({
    name: 'humancast_redis_evicted_keys_total',
    help: 'Evicted keys',
    labelNames: ['redis'],
    registers,
    async collect() {
      const { redis } = await read();
      this.reset();
      for (const database of DATABASES) {
        const info = redis[database];
        if (info) this.inc({ redis: database }, info.evictedKeys);
      }
    },
  });
  new Gauge({
    name: 'humancast_queue_jobs',
    help: 'Jobs by state; `segments` covers all media-senders; an active job of `sessions` is a hosted session',
    labelNames: ['queue', 'state'],
    registers,
    async collect() {
      const { queues } = await read();
      this.reset();
      if (!queues) return;
      for (const queue of QUEUES) {
        const { waiting, active, delayed, failed } = queues[queue];
        for (const [state, count] of Object.entries({ waiting, active, delayed, failed })) {
          this.set({ queue, state }, count);
        }
      }
    },
  });
  new Gauge({
    name: 'humancast_queue_oldest_seconds',
    help: 'Age of the oldest waiting job; 0: none',
    labelNames: ['queue'],
    registers,
    async collect() {
      const { queues } = await read();
      this.reset();
      if (!queues) return;
      for (const queue of QUEUES) this.set({ queue }, queues[queue].oldestMs / 1000);
    },
  });
}
