import { ConfigError, type ConfigOf, describeSettings, loadConfig, type Settings } from '../config/define.js';
import type { tracingSettings } from '../config/settings.js';
import { createLogger, type Logger } from '../log.js';
import { unreadableRecords } from '../records/unreadable.js';
import { startTracing, type Tracing, type TracingOptions } from '../tracing/start-tracing.js';
import type { Tracer } from '../tracing/tracer.js';

export interface RunningService {
  /** Completes pending work and frees all resources; called once. */
  close(): Promise<void>;
}

type ProcessSettings = Settings & { logLevel: Settings[string]; shutdownTimeoutMs: Settings[string] };

/**
 * Runs a service as a process: prints configuration errors, starts, and on SIGTERM or SIGINT closes and exits. A second
 * signal, or the time limit, ends it immediately.
 */
export function runService<S extends ProcessSettings & typeof tracingSettings>(
  name: string,
  settings: S,
  start: (config: ConfigOf<S>, logger: Logger, tracer: Tracer) => Promise<RunningService>,
): void {
  if (process.argv.includes('--help')) {
    process.stdout.write(`${name}: settings, read from the environment\n\n${describeSettings(settings)}\n`);
    return;
  }
  let config: ConfigOf<S>;
  try {
    config = loadConfig(settings, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${name} cannot start:\n${error.message}\n`);
    process.exitCode = 78; // EX_CONFIG
    return;
  }
  const logger = createLogger(name, config['logLevel'] as string);
  unreadableRecords.logTo(logger);
  // An error that gets here leaves the process in an unknown state, so it ends and is restarted. Errors caused by external
  // input are caught earlier: by the reader of each socket, and by the session, viewer or request that they belong to.
  const die = (error: unknown, what: string) => {
    logger.fatal({ err: error }, what);
    process.exit(1);
  };
  process.on('uncaughtException', (error) => die(error, 'uncaught exception'));
  process.on('unhandledRejection', (error) => die(error, 'unhandled rejection'));

  let stopping = false;
  let service: RunningService | undefined;
  let tracing: Tracing | undefined;
  const close = async (running: RunningService | undefined) => {
    await running?.close();
    await tracing?.close();
  };
  const stop = (signal: NodeJS.Signals) => {
    if (stopping) {
      logger.warn({ signal }, 'second signal, exiting immediately');
      process.exit(1);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    const limit = config['shutdownTimeoutMs'] as number;
    setTimeout(() => {
      logger.error({ limitMs: limit }, 'shutdown timed out, exiting');
      process.exit(1);
    }, limit).unref();
    void close(service).then(
      () => {
        logger.info('stopped');
        process.exit(0);
      },
      (error: unknown) => die(error, 'stopping failed'),
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);

  startTracing(name, tracingOptions(config), logger)
    .then((started) => {
      tracing = started;
      return start(config, logger, started.tracer);
    })
    .then(
      (running) => {
        service = running;
        // The signal came during the start and found nothing to close.
        if (stopping) void close(running).finally(() => process.exit(0));
      },
      (error: unknown) => die(explainListen(error), 'start failed'),
    );
}

function tracingOptions(config: ConfigOf<typeof tracingSettings>): TracingOptions {
  const { otlpEndpoint, otlpTracesEndpoint, tracesShare } = config;
  return { endpoint: otlpEndpoint, tracesEndpoint: otlpTracesEndpoint, share: tracesShare };
}

function explainListen(error: unknown): unknown {
  const { code, port } = error as { code?: string; port?: number };
  return code === 'EADDRINUSE' ? new Error(`port ${port} is in use by another process`) : error;
}
