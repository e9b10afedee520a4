/**
 * Terminal output. Nothing here may throw, because the terminal can disappear while processes are being stopped.
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

/** Prints a completed step. @param {string} what @param {string} [detail] */
export function step(what, detail = '') {
  say(`${green('✓')} ${what}${detail ? ` ${dim(detail)}` : ''}`);
}

/** @param {number} sinceMs a `performance.now()` */
export function seconds(sinceMs) {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

/** An error that the user can fix; printed without a stack. */
export class Stop extends Error {
  /** @override */
  name = 'Stop';
}

/** Minimum Node.js version of these scripts. */
const OLDEST_NODE = 20;

/**
 * Runs a script's main function; an error is printed and sets exit code 1.
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
