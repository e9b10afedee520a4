import type { SignalingConfig, Tracer } from '@humancast/shared';
import { createRegistry, type Logger, middlewareOf, NO_TRACER } from '@humancast/shared';
import { BODY_LIMIT_BYTES, instances, type RunningHttpService, startHttpService } from '@humancast/shared/nest';
import { AvatarsController } from './avatars/avatars.controller.js';
import { checkConfig } from './check-config.js';
import { ConsoleController } from './console/console.controller.js';
import { serveConsole } from './console/console-files.js';
import { createSignaling } from './create-signaling.js';
import { SayController } from './demo-say/say.controller.js';
import { EventsController } from './events/events.controller.js';
import { cors } from './http/cors.js';
import { securityHeaders } from './http/security-headers.js';
import { SignalingMetrics } from './metrics.js';
import { registerFleetMetrics } from './observability/fleet-metrics.js';
import { PostersController } from './posters/posters.controller.js';
import { SendersController } from './senders/senders.controller.js';
import { SessionsController } from './sessions/sessions.controller.js';
import { TIMINGS, TIMINGS_TOKEN, type Timings } from './timings.js';
import { SignalAdapter } from './websocket/signal.adapter.js';
import { SignalGateway } from './websocket/signal.gateway.js';
import { WhepController } from './whep/whep.controller.js';

/** @throws ConfigError if settings contradict each other; the listening error if a port is taken. */
export async function startSignaling(
  given: SignalingConfig,
  logger: Logger,
  timings: Readonly<Timings> = TIMINGS,
  tracer: Tracer = NO_TRACER,
): Promise<RunningHttpService> {
  const config = checkConfig(given, logger);
  const registry = createRegistry('signaling');
  const metrics = new SignalingMetrics(registry);
  const signaling = createSignaling({ config, logger, tracer, metrics, timings });
  const { hosts, origins, limits, requestLimits, readiness, sweeper, waitingViewers, whep, eventStreams, listen } =
    signaling;
  registerFleetMetrics(registry, () => signaling.probe.levels());
  let adapter: SignalAdapter;
  return startHttpService({
    config,
    logger,
    registry,
    readiness,
    controllers: [
      SessionsController,
      SayController,
      EventsController,
      AvatarsController,
      PostersController,
      SendersController,
      WhepController,
      ConsoleController,
    ],
    providers: [SignalGateway, { provide: TIMINGS_TOKEN, useValue: timings }, ...instances(...signaling.injected)],
    onError: (error) => metrics.countError(error),
    onLimited: (limit) => metrics.limited.inc({ limit }),
    configure(app) {
      app.use(middlewareOf(hosts), middlewareOf(requestLimits), securityHeaders(config), cors(origins));
      const type = ['application/sdp', 'application/trickle-ice-sdpfrag'];
      app.useBodyParser('text', { type, limit: BODY_LIMIT_BYTES });
      serveConsole(app, config.consoleDir);
      adapter = new SignalAdapter(app, { hosts, origins, limits, metrics, listen }, { ...config, logger });
      app.useWebSocketAdapter(adapter);
    },
    async open() {
      await signaling.openMailbox();
      sweeper.start();
      waitingViewers.start();
    },
    /** Viewers are disconnected first, so that they find another process while this one still answers. */
    async drain(app) {
      sweeper.stop();
      waitingViewers.stop();
      whep.close();
      eventStreams.closeAll();
      listen.close();
      adapter.stopAccepting();
      await app.get(SignalGateway).close();
    },
    close: () => signaling.close(),
  });
}
