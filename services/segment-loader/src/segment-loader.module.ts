import type { Server } from 'node:http';
import {
  createRegistry,
  guardConnections,
  type LoaderConfig,
  type Logger,
  NO_TRACER,
  type Redis,
  RequestLimits,
  type RunningService,
  startMetricsServer,
  type Tracer,
} from '@humancast/shared';
import { ProblemFilter } from '@humancast/shared/nest';
import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { ApiModule } from './api/api.module.js';
import { answerExpectations, lingerOnUnreadBody } from './api/unread-bodies.js';
import { type CoreParts, coreModule } from './core.module.js';
import { enterSandbox } from './ffmpeg/current-sandbox.js';
import { requireFfmpeg } from './ffmpeg/requirements.js';
import { HealthController } from './health/health.controller.js';
import { Readiness } from './health/readiness.js';
import { Library } from './library/library.js';
import { LibraryModule } from './library/library.module.js';
import { EncoderPool } from './live/encoder-pool.js';
import { ENCODER_COMMAND } from './live/encoder-process.js';
import { LiveModule, type LiveParts } from './live/live.module.js';
import { LiveMetrics } from './live/live-metrics.js';
import { LiveServer } from './live/live-server.js';
import { LoadQueue } from './loading/load-queue.js';
import { LoadingModule } from './loading/loading.module.js';
import { LoaderMetrics } from './metrics.js';
import { Deletion, type DeletionParts } from './retention/deletion.js';
import { Housekeeper } from './retention/housekeeper.js';
import { RetentionModule } from './retention/retention.module.js';
import { RetentionMetrics } from './retention/retention-metrics.js';
import { MEDIA_REDIS, QUEUE_REDIS } from './tokens.js';
import { UploadModule } from './upload/upload.module.js';
import { Uploads } from './upload/uploads.js';

const BODY_LIMIT_BYTES = 65_536;
/** Requests still being answered when the service stops get this long. */
const LAST_REQUESTS_MS = 2000;

/** Processor seconds of an ffmpeg or a live encoder: more than any load may take, times the longest media. */
const CPU_BASE_SECONDS = 600;
const CPU_PER_MEDIA = 20;

@Module({})
class SegmentLoaderModule {}

function segmentLoaderModule(parts: CoreParts, live: LiveParts): DynamicModule {
  return {
    module: SegmentLoaderModule,
    imports: [
      coreModule(parts),
      RetentionModule,
      LoadingModule,
      LibraryModule,
      UploadModule,
      LiveModule.with(live),
      ApiModule,
    ],
    controllers: [HealthController],
    providers: [
      {
        provide: Readiness,
        useFactory: (queue: Redis, media: Redis) => new Readiness(queue, media),
        inject: [QUEUE_REDIS, MEDIA_REDIS],
      },
    ],
  };
}

export interface RunningSegmentLoader extends RunningService {
  /** The public port; the one that was given, unless that was 0. */
  readonly port: number;
  readonly metricsPort: number;
}

export interface SegmentLoaderOptions {
  /** What to run instead of the live encoder as built: arguments to Node.js. */
  readonly encoderCommand?: readonly string[];
  /** Default: nothing is traced. */
  readonly tracer?: Tracer;
  /** Called after each step of a deletion; for tests that end the process there. */
  readonly afterDeletionStep?: DeletionParts['afterStep'];
}

/** @throws Error when ffmpeg is missing or lacks an encoder; the listening error when a port is taken. */
export async function startSegmentLoader(
  config: LoaderConfig,
  logger: Logger,
  { encoderCommand, tracer = NO_TRACER, afterDeletionStep }: SegmentLoaderOptions = {},
): Promise<RunningSegmentLoader> {
  await requireFfmpeg(config.renditions.map((rendition) => rendition.codec));
  enterSandbox({
    mode: config.ffmpegSandbox,
    cpuSeconds: config.ffmpegThreads * (CPU_BASE_SECONDS + CPU_PER_MEDIA * config.maxDurationSeconds),
    encoderCommand: encoderCommand ?? ENCODER_COMMAND,
    logger,
  });
  const registry = createRegistry('segment-loader');
  const metrics = new LoaderMetrics(registry);
  const live = new LiveMetrics(registry);
  const retention = new RetentionMetrics(registry);
  const parts = { config, logger, tracer, metrics, retention, ...(afterDeletionStep && { afterDeletionStep }) };
  const app = await createApp(parts, { metrics: live, encoderCommand });
  takeLivePushes(app, live);
  watchLevels(app, metrics);
  followRedis(app);
  letDeletionsEndWork(app);
  const readiness = app.get(Readiness);
  const metricsServer = await startMetricsServer({
    port: config.metricsPort,
    address: config.metricsAddress,
    registry,
    readiness: () => readiness.reason(),
  });
  await app.listen(config.port, config.bindAddress);
  const port = portOf(app.getHttpServer());
  logger.info({ port, metricsPort: portOf(metricsServer) }, 'segment-loader is listening');
  await app.get(Housekeeper).start();
  await app.get(Library).start();
  let closed: Promise<void> | undefined;
  return {
    port,
    metricsPort: portOf(metricsServer),
    close: () => {
      closed ??= stop(app, metricsServer, config.shutdownTimeoutMs);
      return closed;
    },
  };
}

async function createApp(parts: CoreParts, live: LiveParts): Promise<NestExpressApplication> {
  const { config, logger, metrics } = parts;
  const app = await NestFactory.create<NestExpressApplication>(segmentLoaderModule(parts, live), {
    bodyParser: false,
    logger: false,
    abortOnError: false,
  });
  app.disable('x-powered-by');
  app.set('etag', false);
  app.use(lingerOnUnreadBody);
  app.use(app.get(RequestLimits).middleware);
  app.useBodyParser('json', { limit: BODY_LIMIT_BYTES });
  app.useGlobalFilters(new ProblemFilter(logger, (error) => metrics.told(error)));
  const server: Server = app.getHttpServer();
  guardConnections(server, config, (limit) => metrics.limited.inc({ limit }));
  answerExpectations(server, '/v1/segments');
  return app;
}

function watchLevels(app: NestExpressApplication, metrics: LoaderMetrics): void {
  const [queue, uploads, library] = [app.get(LoadQueue), app.get(Uploads), app.get(Library)];
  metrics.watch({
    uploads: () => uploads.inHandCount,
    running: () => queue.running,
    waitingUploads: () => queue.waiting('upload'),
    waitingLibrary: () => queue.waiting('library'),
    problems: () => library.problemCount,
  });
}

function takeLivePushes(app: NestExpressApplication, metrics: LiveMetrics): void {
  const server = app.get(LiveServer);
  server.attach(app.getHttpServer());
  metrics.watch(() => server.pushCount);
  app.get(EncoderPool).start();
}

function letDeletionsEndWork(app: NestExpressApplication): void {
  const deletion = app.get(Deletion);
  for (const work of [app.get(Uploads), app.get(Library), app.get(LiveServer)]) deletion.watch(work);
}

/** A database that comes back may have come back empty. */
function followRedis(app: NestExpressApplication): void {
  const [library, housekeeper] = [app.get(Library), app.get(Housekeeper)];
  for (const token of [QUEUE_REDIS, MEDIA_REDIS]) app.get<Redis>(token).on('ready', () => library.poke());
  app.get<Redis>(MEDIA_REDIS).on('ready', () => housekeeper.storeCameBack());
}

/** Library loads are given up, for a restart takes them up again; uploads are finished, if that is soon. Databases last. */
async function stop(app: NestExpressApplication, metricsServer: Server, timeoutMs: number): Promise<void> {
  app.get(Readiness).stop();
  await app.get(LiveServer).close();
  app.get(EncoderPool).close();
  await app.get(Library).close();
  await app.get(Housekeeper).close();
  await app.get(Uploads).close(Math.max(0, timeoutMs - 2 * LAST_REQUESTS_MS));
  const server: Server = app.getHttpServer();
  const impatience = setTimeout(() => server.closeAllConnections(), LAST_REQUESTS_MS);
  await app.close();
  clearTimeout(impatience);
  for (const token of [QUEUE_REDIS, MEDIA_REDIS]) app.get<Redis>(token).disconnect();
  metricsServer.closeAllConnections();
  await new Promise((resolve) => metricsServer.close(resolve));
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not listening on a port');
  return address.port;
}
