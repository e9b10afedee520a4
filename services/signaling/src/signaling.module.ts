import type { Server } from 'node:http';
import {
  ConfigError,
  createRegistry,
  demoModeOf,
  guardConnections,
  type Logger,
  NO_TRACER,
  type Redis,
  RedisMailbox,
  RequestLimits,
  type RunningService,
  SenderRegistry,
  type SignalingConfig,
  startMetricsServer,
  type ToSignaling,
  type Tracer,
} from '@humancast/shared';
import { ProblemFilter } from '@humancast/shared/nest';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { AvatarsController } from './avatars/avatars.controller.js';
import { ConsoleController } from './console/console.controller.js';
import { cacheHeaders, consoleFolder } from './console/console-files.js';
import { type CoreParts, coreModule } from './core.module.js';
import { EventStreams } from './events/event-streams.js';
import { EventsModule } from './events/events.module.js';
import { HealthController } from './health/health.controller.js';
import { Readiness } from './health/readiness.js';
import { cors } from './http/cors.js';
import { KnownHosts } from './http/known-hosts.js';
import { Origins } from './http/origins.js';
import { securityHeaders } from './http/security-headers.js';
import { Limits } from './limits/limits.js';
import { SignalingMetrics } from './metrics.js';
import { registerFleetMetrics } from './observability/fleet-metrics.js';
import { FleetProbe } from './observability/fleet-probe.js';
import { Inbox } from './routing/inbox.js';
import { JobQueues } from './routing/job-queues.js';
import { RoutingModule } from './routing/routing.module.js';
import { Sweeper } from './routing/sweeper.js';
import { SessionsModule } from './sessions/sessions.module.js';
import { TIMINGS, type Timings } from './timings.js';
import { MAILBOX_ADDRESS, MEDIA_REDIS, QUEUE_REDIS, SUBSCRIBER_REDIS } from './tokens.js';
import { SignalAdapter } from './websocket/signal.adapter.js';
import { SignalGateway } from './websocket/signal.gateway.js';
import { SignalModule } from './websocket/signal.module.js';
import { WaitingViewers } from './websocket/waiting-viewers.js';
import { WhepModule } from './whep/whep.module.js';
import { WhepService } from './whep/whep-service.js';

const BODY_LIMIT_BYTES = 65_536;
/** Requests still being answered when the service stops get this long. */
const LAST_REQUESTS_MS = 2000;

@Module({})
class SignalingModule {}

function signalingModule(parts: CoreParts): DynamicModule {
  return {
    module: SignalingModule,
    imports: [coreModule(parts), RoutingModule, SessionsModule, EventsModule, SignalModule, WhepModule],
    controllers: [AvatarsController, HealthController, ConsoleController],
    providers: [
      {
        provide: Readiness,
        useFactory: (queue: Redis, media: Redis, mailbox: string) => new Readiness(queue, media, mailbox),
        inject: [QUEUE_REDIS, MEDIA_REDIS, MAILBOX_ADDRESS],
      },
      {
        provide: FleetProbe,
        useFactory: (queueRedis: Redis, mediaRedis: Redis, senders: SenderRegistry, jobs: JobQueues) =>
          new FleetProbe({ queueRedis, mediaRedis, senders, jobs }),
        inject: [QUEUE_REDIS, MEDIA_REDIS, SenderRegistry, JobQueues],
      },
    ],
  };
}

export interface RunningSignaling extends RunningService {
  /** The public port; the one that was given, unless that was 0. */
  readonly port: number;
  readonly metricsPort: number;
}

/** @throws ConfigError when settings don't go together; the listening error when a port is taken. */
export async function startSignaling(
  given: SignalingConfig,
  logger: Logger,
  timings: Readonly<Timings> = TIMINGS,
  tracer: Tracer = NO_TRACER,
): Promise<RunningSignaling> {
  const demo = demoModeOf(given);
  if (demo.why !== undefined) logger.warn(demo.why);
  const config = { ...given, publicDemo: demo.mode !== 'off' };
  if (config.turnUrls.length > 0 && config.turnSecret === '') {
    throw new ConfigError(
      'TURN_SECRET: not set; it must be what coturn has as static-auth-secret, as TURN_URLS is set',
    );
  }
  const registry = createRegistry('signaling');
  const metrics = new SignalingMetrics(registry);
  const { app, adapter } = await createApp({ config, logger, tracer, metrics, timings });
  const fleet = app.get(FleetProbe);
  registerFleetMetrics(registry, () => fleet.levels());
  const mailbox = app.get<RedisMailbox<ToSignaling>>(RedisMailbox);
  const inbox = app.get(Inbox);
  const readiness = app.get(Readiness);
  await mailbox.open((message) => inbox.deliver(message));
  app.get(Sweeper).start();
  app.get(WaitingViewers).start();
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry,
    readiness: () => readiness.reason(),
  });
  await app.listen(config.port, config.bindAddress);
  const port = portOf(app.getHttpServer());
  logger.info({ port, metricsPort: portOf(metricsServer), mailbox: mailbox.address }, 'signaling is listening');
  let closed: Promise<void> | undefined;
  return {
    port,
    metricsPort: portOf(metricsServer),
    close: () => {
      closed ??= stop(app, adapter, metricsServer);
      return closed;
    },
  };
}

async function createApp(parts: CoreParts): Promise<{ app: NestExpressApplication; adapter: SignalAdapter }> {
  const { config, logger, metrics } = parts;
  const app = await NestFactory.create<NestExpressApplication>(signalingModule(parts), {
    bodyParser: false,
    logger: false,
    abortOnError: false,
  });
  app.disable('x-powered-by');
  app.set('etag', false);
  app.use(app.get(KnownHosts).middleware);
  app.use(app.get(RequestLimits).middleware);
  app.use(securityHeaders);
  app.use(cors(app.get(Origins)));
  app.useBodyParser('json', { limit: BODY_LIMIT_BYTES });
  app.useBodyParser('text', {
    type: ['application/sdp', 'application/trickle-ice-sdpfrag'],
    limit: BODY_LIMIT_BYTES,
  });
  const folder = consoleFolder(config.consoleDir);
  app.useStaticAssets(folder, { index: 'index.html', dotfiles: 'ignore', setHeaders: cacheHeaders(folder) });
  app.useGlobalFilters(new ProblemFilter(logger, (error) => metrics.told(error)));
  const adapter = new SignalAdapter(
    app,
    { hosts: app.get(KnownHosts), origins: app.get(Origins), limits: app.get(Limits), metrics },
    { ...config, logger },
  );
  app.useWebSocketAdapter(adapter);
  guardConnections(app.getHttpServer(), config, (limit) => metrics.limited.inc({ limit }));
  return { app, adapter };
}

/** Viewers first, so that they find another process while this one still answers; databases last. */
async function stop(app: NestExpressApplication, adapter: SignalAdapter, metricsServer: Server): Promise<void> {
  app.get(Readiness).stop();
  app.get(Sweeper).stop();
  app.get(WaitingViewers).stop();
  app.get(WhepService).close();
  app.get(EventStreams).closeAll();
  adapter.stopAccepting();
  await app.get(SignalGateway).close();
  const server: Server = app.getHttpServer();
  const impatience = setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS);
  await app.close();
  clearTimeout(impatience);
  await app.get<RedisMailbox<ToSignaling>>(RedisMailbox).close();
  await app.get(JobQueues).close();
  for (const token of [SUBSCRIBER_REDIS, QUEUE_REDIS, MEDIA_REDIS]) app.get<Redis>(token).disconnect();
  metricsServer.closeAllConnections();
  await new Promise((resolve) => metricsServer.close(resolve));
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}
