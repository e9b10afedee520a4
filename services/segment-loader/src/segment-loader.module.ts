import type { LoaderConfig, Logger, Tracer } from '@humancast/shared';
import { createRegistry, middlewareOf, NO_TRACER } from '@humancast/shared';
import { instances, LAST_REQUESTS_MS, type RunningHttpService, startHttpService } from '@humancast/shared/nest';
import { AvatarsController } from './api/avatars.controller.js';
import { SegmentsController } from './api/segments.controller.js';
import { answerExpectations, lingerOnUnreadBody } from './api/unread-bodies.js';
import { createSegmentLoader } from './create-segment-loader.js';
import { cpuLimitSeconds, enterSandbox } from './ffmpeg/current-sandbox.js';
import { requireFfmpeg } from './ffmpeg/requirements.js';
import { ENCODER_COMMAND } from './live/encoder-process.js';
import { LiveMetrics } from './live/live-metrics.js';
import { LoaderMetrics } from './metrics.js';
import type { DeletionParts } from './retention/deletion.js';
import { RetentionMetrics } from './retention/retention-metrics.js';

export interface SegmentLoaderOptions {
  /** Node.js arguments that start a program other than the built live encoder. */
  readonly encoderCommand?: readonly string[];
  /** Default: no tracing. */
  readonly tracer?: Tracer;
  /** Called after each step of a deletion; tests end the process there. */
  readonly afterDeletionStep?: DeletionParts['afterStep'];
}

/** @throws Error if ffmpeg is missing or lacks an encoder; the listening error if a port is taken. */
export async function startSegmentLoader(
  config: LoaderConfig,
  logger: Logger,
  { encoderCommand, tracer = NO_TRACER, afterDeletionStep }: SegmentLoaderOptions = {},
): Promise<RunningHttpService> {
  await requireFfmpeg(config.renditions.map((rendition) => rendition.codec));
  const sandbox = { mode: config.ffmpegSandbox, cpuSeconds: cpuLimitSeconds(config), logger };
  enterSandbox({ ...sandbox, encoderCommand: encoderCommand ?? ENCODER_COMMAND });
  const registry = createRegistry('segment-loader');
  const metrics = new LoaderMetrics(registry);
  const loader = createSegmentLoader({
    config,
    logger,
    tracer,
    metrics: { loader: metrics, live: new LiveMetrics(registry), retention: new RetentionMetrics(registry) },
    encoderCommand,
    afterDeletionStep,
  });
  const { readiness, requestLimits, live, encoders, library, ladders, housekeeper, uploads } = loader;
  const service = await startHttpService({
    config,
    logger,
    registry,
    readiness,
    controllers: [AvatarsController, SegmentsController],
    providers: instances(...loader.injected),
    onError: (error) => metrics.countError(error),
    onLimited: (limit) => metrics.limited.inc({ limit }),
    configure(app) {
      app.use(lingerOnUnreadBody, middlewareOf(requestLimits));
      answerExpectations(app.getHttpServer(), '/v1/segments');
    },
    open(app) {
      live.attach(app.getHttpServer());
      encoders.start();
    },
    /** Library loads and further renditions are abandoned, because a restart repeats them; uploads may finish within the grace period. */
    async drain() {
      await live.close();
      encoders.close();
      await library.close();
      await ladders.close();
      await housekeeper.close();
      await uploads.close(Math.max(0, config.shutdownTimeoutMs - 2 * LAST_REQUESTS_MS));
    },
    close: () => loader.close(),
  });
  await housekeeper.start();
  await library.start();
  return service;
}
