import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { z } from 'zod';
import { unreadableRecords } from './records/unreadable.js';
import { registerTcpSockets } from './tcp-sockets.js';

export type { Registry } from 'prom-client';

/** A registry of a service's metrics, with the process's own (event loop, memory, garbage collection). */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  registerTcpSockets(registry);
  registerUnreadable(registry);
  const build = new Gauge({
    name: 'humancast_build_info',
    help: 'Constant 1, labeled with the version of the service and of Node.js',
    labelNames: ['version', 'node'],
    registers: [registry],
  });
  build.set({ version: packageVersion(), node: process.version.slice(1) }, 1);
  return registry;
}

function registerUnreadable(registry: Registry): void {
  new Counter({
    name: 'humancast_unreadable_records_total',
    help: 'Stored records, events and messages skipped because this version cannot read them, by kind',
    labelNames: ['kind'],
    registers: [registry],
    collect() {
      this.reset();
      for (const [kind, count] of unreadableRecords.counts) this.inc({ kind }, count);
    },
  });
}

export interface MetricName {
  readonly name: string;
  readonly help: string;
}

/** A gauge that is read when it is asked for. */
export function watchGauge(registry: Registry, metric: MetricName, read: () => number): void {
  new Gauge({
    ...metric,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

/** A counter of what is counted elsewhere, read when it is asked for. */
export function watchCounter(registry: Registry, metric: MetricName, read: () => number): void {
  new Counter({
    ...metric,
    registers: [registry],
    collect() {
      this.reset();
      this.inc(read());
    },
  });
}

/** Of this package: all of the repository have the same. */
function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

export interface MetricsServerOptions {
  port: number;
  address: string;
  registry: Registry;
  /** `undefined` when able to serve, else the reason why not. */
  readiness: () => Promise<string | undefined>;
}

/** Serves `/metrics`, `/healthz` and `/readyz` on a port that is not for the public. */
export async function startMetricsServer(options: MetricsServerOptions): Promise<Server> {
  const server = createServer((request, response) => {
    respond(request.url ?? '/', options)
      .then(
        ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
        () => response.writeHead(500).end(),
      )
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, options.address, resolve);
  });
  return server;
}

async function respond(url: string, { registry, readiness }: MetricsServerOptions) {
  const text = 'text/plain; charset=utf-8';
  switch (url) {
    case '/metrics':
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    case '/healthz':
      return { status: 200, type: text, body: 'ok\n' };
    case '/readyz': {
      const reason = await readiness();
      return { status: reason === undefined ? 200 : 503, type: text, body: `${reason ?? 'ok'}\n` };
    }
    default:
      return { status: 404, type: text, body: 'not found\n' };
  }
}
