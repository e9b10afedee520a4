/**
 * What a person reads on the terminal. Nothing here may throw: the terminal can be gone while we still stop what we
 * started.
 */
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

const color = process.stdout.isTTY && process.env['NO_COLOR'] === undefined;

/** @param {string} code @param {string} text */
const paint = (code, text) => (color ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = (/** @type {string} */ text) => paint('1', text);
export const dim = (/** @type {string} */ text) => paint('2', text);
export const red = (/** @type {string} */ text) => paint('31', text);
export const green = (/** @type {string} */ text) => paint('32', text);
export const yellow = (/** @type {string} */ text) => paint('33', text);

/** @param {string} [line] */
export function say(line = '') {
  process.stdout.write(`${line}\n`);
}

/** One thing done. @param {string} what @param {string} [detail] */
export function step(what, detail = '') {
  say(`${green('✓')} ${what}${detail ? ` ${dim(detail)}` : ''}`);
}

/** @param {number} sinceMs a `performance.now()` */
export function seconds(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/** Something a person has to do something about; shown without a stack. */
export class Stop extends Error {
  /** @override */
  name = 'Stop';
}

/** What these scripts need to bring everything else. */
const OLDEST_NODE = 20;

/**
 * Runs a script's main function; what it throws becomes one message and exit code 1.
 * @param {() => Promise<void>} main
 */
export function runMain(main) {
  const supported = Number(process.versions.node.split('.')[0]) >= OLDEST_NODE;
  const old = new Stop(`Node.js ${OLDEST_NODE} or newer is needed; this is ${process.version}`);
  (supported ? main() : Promise.reject(old)).catch((error) => {
    process.stderr.write(`${red('✗')} ${error instanceof Stop ? error.message : (error?.stack ?? error)}\n`);
    process.exit(1);
  });
}
