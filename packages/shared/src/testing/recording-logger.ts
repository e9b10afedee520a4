import type { Logger } from '../log.js';

export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly msg: string;
  readonly [field: string]: unknown;
}

/** A logger that keeps what is logged, with the fields of its parents, so that a test can look at it. */
export function recordingLogger(lines: LoggedLine[], bindings: object = {}): Logger {
  const log = (level: LoggedLine['level']) => (first: object | string, msg?: string) => {
    const fields = typeof first === 'string' ? {} : first;
    lines.push({ ...bindings, ...fields, level, msg: typeof first === 'string' ? first : (msg ?? '') });
  };
  const recording = {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (more: object) => recordingLogger(lines, { ...bindings, ...more }),
  };
  return recording as unknown as Logger;
}
