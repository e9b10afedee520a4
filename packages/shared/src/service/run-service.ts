import { ConfigError, type ConfigOf, describeSettings, loadConfig, type Settings } from '../config/define.js';
import type { tracingSettings } from '../config/settings.js';
import { createLogger, type Logger } from '../log.js';
import { unreadableRecords } from '../records/unreadable.js';
import { startTracing, type Tracing, type TracingOptions } from '../tracing/start-tracing.js';
import type { Tracer } from '../tracing/tracer.js';

export interface RunningService {
  /** Finishes what is owed and frees everything; called once. */
  close(): Promise<void>;
}

type ProcessSettings = Settings & { logLevel: Settings[string]; shutdownTimeoutMs: Settings[string] };

/**
 * A service's process: reads the configuration or says what is wrong with it, starts, and on SIGTERM or SIGINT finishes and
 * exits by itself; a second signal, or the time limit, ends it at once.
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
  // What gets here leaves the process in a state that nobody knows, so it ends, and is started anew. Whatever comes from
  // outside is caught before: by the reader of each socket, and by the session, viewer or request that it belongs to.
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
      logger.warn({ signal }, 'second signal: exiting at once');
      process.exit(1);
    }
    stopping = true;
    logger.info({ signal }, 'stopping');
    const limit = config['shutdownTimeoutMs'] as number;
    setTimeout(() => {
      logger.error({ limitMs: limit }, 'not finished in time: exiting');
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
        // Stopped while still starting: the signal found nothing to close.
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
  return code === 'EADDRINUSE' ? new Error(`port ${port} is taken by another process`) : error;
}
