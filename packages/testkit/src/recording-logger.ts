export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly msg: string;
  readonly [field: string]: unknown;
}

/**
 * @returns A logger that records its lines, with the fields of its parents.
 * @typeParam Logger the caller's logger type; its level methods and `child` are implemented.
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
