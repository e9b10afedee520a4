import type { Registry } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';
import type { FleetLevels } from './fleet-probe.js';

const DATABASES = ['queue', 'media'] as const;
const QUEUES = ['sessions', 'segments'] as const;

/**
 * What no single service has: the queues and the databases. Every signaling process says the same, so a query takes the
 * largest of them and not the sum. What a database that does not answer would say is left out.
 */
export function registerFleetMetrics(registry: Registry, read: () => Promise<FleetLevels>): void {
  const registers = [registry];
  new Gauge({
    name: 'humancast_redis_up',
    help: 'Whether a database answers within a second; 1 or 0',
    labelNames: ['redis'],
    registers,
    async collect() {
      const { redis } = await read();
      for (const name of DATABASES) this.set({ redis: name }, redis[name] ? 1 : 0);
    },
  });
  for (const { name, help, field } of [
    { name: 'humancast_redis_memory_bytes', help: 'Memory in use', field: 'memoryBytes' },
    {
      name: 'humancast_redis_memory_limit_bytes',
      help: 'Memory it may use: its maxmemory; 0 where none is set',
      field: 'memoryLimitBytes',
    },
    { name: 'humancast_redis_clients', help: 'Connections to it', field: 'clients' },
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
    help: 'Whether what was written last reached the disk; if not (0), the database refuses all writes',
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
    help: 'Keys removed to make room',
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
    help: 'Jobs by state; segments: of all media-senders together. An active job of sessions is a session that is hosted',
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
    help: 'For how long the oldest job has been waiting; 0 when none does',
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
