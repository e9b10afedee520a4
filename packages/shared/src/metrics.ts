import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { z } from 'zod';
import { unreadableRecords } from './records/unreadable.js';
import { registerTcpSockets } from './tcp-sockets.js';

export type { Registry } from 'prom-client';

/** @returns A registry of a service's metrics, including the process's (event loop, memory, garbage collection). */
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

/** Registers a gauge that is read at each scrape. */
export function watchGauge(registry: Registry, metric: MetricName, read: () => number): void {
  new Gauge({
    ...metric,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

/** Registers a counter that is kept elsewhere and read at each scrape. */
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

/** Version of this package, which all packages of the repository share. */
function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

export interface MetricsServerOptions {
  port: number;
  address: string;
  registry: Registry;
  /** @returns Why the service is not ready; `undefined` if it is. */
  readiness: () => Promise<string | undefined>;
}

/** Serves `/metrics`, `/healthz` and `/readyz` on a private port. */
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
