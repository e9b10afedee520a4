import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Serves the metrics of coturn's Prometheus exporter, without which Debian builds it. Names, labels and meanings are those
 * of its `src/apps/relay/prom_server.c`: the metrics that dashboards and alerts use, and one that they do not.
 */
export class CoturnMetrics {
  readonly name = 'coturn';
  allocations = 0;
  sentBytes = 0;
  readonly #server: Server;

  static async start(): Promise<CoturnMetrics> {
    const metrics = new CoturnMetrics();
    await new Promise<void>((resolve) => metrics.#server.listen(0, '127.0.0.1', resolve));
    return metrics;
  }

  private constructor() {
    this.#server = createServer((_, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).end(this.#text());
    });
  }

  get metricsUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #text(): string {
    return `# HELP turn_total_allocations Represents current allocations number
# TYPE turn_total_allocations gauge
turn_total_allocations{type="UDP"} ${this.allocations}
# HELP turn_total_traffic_sentb Represents total finished sessions sent bytes
# TYPE turn_total_traffic_sentb counter
turn_total_traffic_sentb ${this.sentBytes}
# HELP stun_binding_request Incoming STUN Binding requests
# TYPE stun_binding_request counter
stun_binding_request 7
`;
  }
}
