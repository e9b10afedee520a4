import { createServer, type Server } from 'node:http';
import { collectDefaultMetrics, Registry } from 'prom-client';

export type { Registry } from 'prom-client';

/** A registry of a service's metrics, with the process's own (event loop, memory, garbage collection). */
export function createRegistry(service: string): Registry {
  const registry = new Registry();
  registry.setDefaultLabels({ service });
  collectDefaultMetrics({ register: registry });
  return registry;
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
    void respond(request.url ?? '/', options).then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      () => response.writeHead(500).end(),
    );
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
