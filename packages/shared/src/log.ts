import { type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

export type Logger = PinoLogger;

/**
 * One JSON line an event on standard output. Session, segment, viewer and sender ids are fields of that name, so that one
 * id can be followed through all services. Fields that may carry credentials are removed wherever they stand.
 */
export function createLogger(service: string, level: string, bindings: Record<string, unknown> = {}): Logger {
  return pino(
    {
      level,
      base: { service, ...bindings },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [
          'token',
          '*.token',
          'resume',
          '*.resume',
          'credential',
          '*.credential',
          'authorization',
          '*.authorization',
          '*.*.authorization',
          'apiKey',
          '*.apiKey',
        ],
        remove: true,
      },
    },
    standardOutput(),
  );
}

let guarded = false;

/**
 * Node's own stream and not pino's default one, which at exit tries for ever to write to a pipe that nobody reads any more.
 * Lines that can't be written are lost; the service goes on.
 */
function standardOutput(): NodeJS.WriteStream {
  if (!guarded) process.stdout.on('error', () => {});
  guarded = true;
  return process.stdout;
}
