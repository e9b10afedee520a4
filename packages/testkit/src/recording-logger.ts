export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly msg: string;
  readonly [field: string]: unknown;
}

/**
 * Returns a logger that keeps what is logged, with the fields of its parents.
 * @typeParam Logger the caller's, of which it has the methods that take a message and `child`.
 */
export function recordingLogger<Logger>(lines: LoggedLine[], bindings: object = {}): Logger {
  const log = (level: LoggedLine['level']) => (first: object | string, msg?: string) => {
    const fields = typeof first === 'string' ? {} : first;
    lines.push({ ...bindings, ...fields, level, msg: typeof first === 'string' ? first : (msg ?? '') });
  };
  return {
    debug: log('debug'),
    info: log('info'),
    warn: log('warn'),
    error: log('error'),
    child: (more: object) => recordingLogger(lines, { ...bindings, ...more }),
  } as Logger;
}
