import type { Registry } from '@humancast/shared';
import { Counter, Gauge } from 'prom-client';
import type { FleetLevels } from './fleet-probe.js';
import type { RedisInfo } from './redis-info.js';

const DATABASES = ['queue', 'media'] as const;
const QUEUES = ['sessions', 'viewers', 'segments'] as const;

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
  const ofRedis = (
    name: string,
    help: string,
    Metric: typeof Gauge | typeof Counter,
    levelOf: (info: RedisInfo) => number,
  ) =>
    new Metric({
      name,
      help,
      labelNames: ['redis'],
      registers,
      async collect() {
        const { redis } = await read();
        this.reset();
        for (const database of DATABASES) {
          const info = redis[database];
          if (info) this.inc({ redis: database }, levelOf(info));
        }
      },
    });
  ofRedis('humancast_redis_memory_bytes', 'Memory used', Gauge, ({ memoryBytes }) => memoryBytes);
  ofRedis(
    'humancast_redis_memory_limit_bytes',
    'maxmemory; 0: unlimited',
    Gauge,
    ({ memoryLimitBytes }) => memoryLimitBytes,
  );
  ofRedis('humancast_redis_clients', 'Connected clients', Gauge, ({ clients }) => clients);
  const diskHelp = '1 if the last write reached the disk; at 0 the database rejects all writes';
  ofRedis('humancast_redis_disk_ok', diskHelp, Gauge, ({ diskOk }) => (diskOk ? 1 : 0));
  ofRedis('humancast_redis_evicted_keys_total', 'Evicted keys', Counter, ({ evictedKeys }) => evictedKeys);
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
