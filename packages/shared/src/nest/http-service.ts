import type { Server } from 'node:http';
import { type DynamicModule, Module, type Provider, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { HumancastError } from '../humancast-error.js';
import { type ConnectionLimits, guardConnections } from '../limits/connection-guard.js';
import type { Logger } from '../log.js';
import { type Registry, startMetricsServer } from '../metrics.js';
import { Readiness } from '../service/readiness.js';
import type { RunningService } from '../service/run-service.js';
import { HealthController } from './health.controller.js';
import { OpenApiController } from './openapi.controller.js';
import { ProblemFilter } from './problem.filter.js';

/** Size limit of a JSON or SDP request body. */
export const BODY_LIMIT_BYTES = 65_536;
/** Time that requests have to complete during a stop, ms; then their connections are closed. */
export const LAST_REQUESTS_MS = 2000;

/** Injection token of the service's configuration. */
export const CONFIG = Symbol('config');
/** Injection token of the {@link Logger}. */
export const LOGGER = Symbol('logger');

@Module({})
class HttpModule {}

/** @returns Providers of existing instances, injected by their classes. */
export function instances(...values: readonly object[]): Provider[] {
  return values.map((value) => ({ provide: value.constructor, useValue: value }));
}

export interface HttpServiceOptions {
  readonly config: ConnectionLimits & {
    readonly port: number;
    readonly bindAddress: string;
    readonly metricsPort: number;
    readonly metricsAddress: string;
  };
  readonly logger: Logger;
  readonly registry: Registry;
  readonly readiness: Readiness;
  /** Controllers besides those of health and OpenAPI. */
  readonly controllers: Type[];
  /** Gateways, and providers besides {@link CONFIG} and {@link LOGGER}. */
  readonly providers: Provider[];
  /** Called with each error returned over HTTP. */
  onError(error: HumancastError): void;
  /** Called with the setting whose limit rejected a connection. */
  onLimited(setting: string): void;
  /** Adds middleware, parsers and adapters. */
  configure(app: NestExpressApplication): void;
  /** Opens what is required before the first request. */
  open(app: NestExpressApplication): Promise<void> | void;
  /** Ends everything besides requests, which are still answered. The process is already not ready. */
  drain(app: NestExpressApplication): Promise<void>;
  /** Closes database connections after the last request. */
  close(): Promise<void> | void;
}

export interface RunningHttpService extends RunningService {
  /** The public port, also if the configured one is 0. */
  readonly port: number;
  readonly metricsPort: number;
}

/**
 * Starts a service's HTTP server (controllers, health, metrics, connection limits), and stops it in order.
 * @throws Error from {@link HttpServiceOptions.open}, or the listening error if a port is taken.
 */
export async function startHttpService(options: HttpServiceOptions): Promise<RunningHttpService> {
  const { config, logger, registry, readiness } = options;
  const app = await createApp(options);
  const server: Server = app.getHttpServer();
  await options.open(app);
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry,
    readiness: () => readiness.reason(),
  });
  await app.listen(config.port, config.bindAddress);
  const port = portOf(server);
  const metricsPort = portOf(metricsServer);
  logger.info({ port, metricsPort }, 'listening');

  const stop = async () => {
    readiness.stop();
    await options.drain(app);
    const timer = setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS);
    await app.close();
    clearTimeout(timer);
    await options.close();
    metricsServer.closeAllConnections();
    await new Promise((resolve) => metricsServer.close(resolve));
  };
  let closed: Promise<void> | undefined;
  return {
    port,
    metricsPort,
    close: () => {
      closed ??= stop();
      return closed;
    },
  };
}

async function createApp(options: HttpServiceOptions): Promise<NestExpressApplication> {
  const { config, logger, readiness, controllers, providers } = options;
  const module: DynamicModule = {
    module: HttpModule,
    controllers: [HealthController, OpenApiController, ...controllers],
    providers: [
      { provide: CONFIG, useValue: config },
      { provide: LOGGER, useValue: logger },
      { provide: Readiness, useValue: readiness },
      ...providers,
    ],
  };
  const app = await NestFactory.create<NestExpressApplication>(module, {
    bodyParser: false,
    logger: false,
    abortOnError: false,
  });
  app.disable('x-powered-by');
  app.set('etag', false);
  options.configure(app);
  app.useBodyParser('json', { limit: BODY_LIMIT_BYTES });
  app.useGlobalFilters(new ProblemFilter(logger, (error) => options.onError(error)));
  guardConnections(app.getHttpServer(), config, (setting) => options.onLimited(setting));
  return app;
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}
