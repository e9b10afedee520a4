import { FaceCamera, IdlePoses } from '@humancast/demo-face';
import { Humancast } from '@humancast/producer';
import {
  ConfigError,
  createRegistry,
  isHashed,
  type Logger,
  NO_TRACER,
  type RunningService,
  startMetricsServer,
  type Tracer,
} from '@humancast/shared';
import { SayServer } from './http/say-server.js';
import { SayMetrics } from './metrics.js';
import { type SayRequest, SayService } from './saying/say-service.js';
import type { DemoProducerConfig } from './settings.js';
import { Gate } from './speech/gate.js';

export interface RunningDemoProducer extends RunningService {
  /** The configured port, or the assigned one if that was 0. */
  readonly port: number;
}

/** @throws ConfigError without an API key; the listening error when a port is taken. */
export async function startDemoProducer(
  config: DemoProducerConfig,
  logger: Logger,
  tracer: Tracer = NO_TRACER,
): Promise<RunningDemoProducer> {
  const { apiKeys, signalingUrl, loaderUrl } = config;
  // A hashed key can check callers but not authenticate to the services.
  const apiKey = apiKeys.find((key) => !isHashed(key));
  if (apiKey === undefined) throw new ConfigError('HUMANCAST_API_KEY: not set; it must be an API key of the services');
  const registry = createRegistry('demo-producer');
  const humancast = new Humancast({ apiKey, signalingUrl, loaderUrl });
  const parts = {
    humancast,
    camera: new FaceCamera(config.pictureSize),
    idlePoses: new IdlePoses(async (segment) => (await humancast.segment(segment)).name),
    synthesis: new Gate(config.sessionLimit),
    metrics: new SayMetrics(registry),
    logger,
    tracer,
  };
  const service = new SayService(parts, config);
  const { port, bindAddress: address, idempotencyTtlSeconds } = config;
  const take = (request: SayRequest) => service.take(request);
  const server = new SayServer({ port, address, apiKeys, logger, idempotencyTtlSeconds, take });
  await server.listen();
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry,
    readiness: async () => undefined,
  });
  logger.info({ port: server.port }, 'demo-producer is listening');
  return {
    port: server.port,
    async close() {
      service.close();
      await server.close();
      metricsServer.closeAllConnections();
      await new Promise((resolve) => metricsServer.close(resolve));
    },
  };
}
