import { closeSync, existsSync, fstatSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';

const FILE_LIMIT_BYTES = 20_000_000;
const LINE_LIMIT = 65_536;
const TAIL_LINES = 12;

/**
 * Writes a process's output, line by line, to a file that is rotated at each start and when it has grown large; the previous
 * one is kept as `.1`.
 */
export class ProcessLog {
  /** @type {string} */ path;
  /** @type {number} */ #fd;
  #bytes = 0;
  /** @type {string[]} */ #tail = [];

  /** @param {string} path */
  constructor(path) {
    this.path = path;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#fd = this.#open();
  }

  /** The last lines, for error reports. */
  get tail() {
    return [...this.#tail];
  }

  /** @param {string} line */
  write(line) {
    this.#tail.push(line);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    try {
      if (this.#bytes > FILE_LIMIT_BYTES) {
        closeSync(this.#fd);
        this.#fd = this.#open();
      }
      this.#bytes += writeSync(this.#fd, `${line}\n`);
    } catch {
      // A full disk or a missing folder must not stop the stack.
    }
  }

  #open() {
    if (existsSync(this.path)) renameSync(this.path, `${this.path}.1`);
    const fd = openSync(this.path, 'a', 0o600);
    this.#bytes = fstatSync(fd).size;
    return fd;
  }
}

/**
 * Splits a stream into lines; longer lines are split at a limit.
 * @param {NodeJS.ReadableStream} stream
 * @param {(line: string) => void} onLine
 */
export function eachLine(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (/** @type {string} */ chunk) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) if (line !== '') onLine(line.slice(0, LINE_LIMIT));
    if (rest.length > LINE_LIMIT) {
      onLine(rest.slice(0, LINE_LIMIT));
      rest = '';
    }
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

const SHOWN_FIELDS = ['avatar', 'session', 'segment', 'viewer', 'file', 'code', 'reason', 'redis'];

/**
 * Formats a log line for the terminal.
 * @param {string} line a service's JSON line, or other text
 * @returns {{ level: string, text: string }} level `plain` for other text
 */
export function readable(line) {
  const entry = parse(line);
  if (typeof entry?.['msg'] !== 'string') return { level: 'plain', text: line };
  const fields = SHOWN_FIELDS.filter((name) => entry[name] !== undefined).map((name) => `${name}=${entry[name]}`);
  const error = /** @type {{ message?: string } | string | undefined} */ (entry['err']);
  const cause = typeof error === 'string' ? error : error?.message;
  return { level: String(entry['level']), text: [entry['msg'], ...(cause ? [`(${cause})`] : []), ...fields].join(' ') };
}

/** @param {string} line @returns {Record<string, unknown> | undefined} */
function parse(line) {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
