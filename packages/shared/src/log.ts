import { type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';

export type Logger = PinoLogger;

/**
 * Creates a logger that writes one JSON line per event to standard output. Ids of sessions, segments, viewers and senders
 * are fields of that name, so that one id can be followed through all services. Fields that may contain credentials are
 * removed at any depth.
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
 * Node's own stream instead of pino's default one, which at exit tries forever to write to a pipe without a reader. Lines
 * that cannot be written are lost; the service continues.
 */
function standardOutput(): NodeJS.WriteStream {
  if (!guarded) process.stdout.on('error', () => {});
  guarded = true;
  return process.stdout;
}
