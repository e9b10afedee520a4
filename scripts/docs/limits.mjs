// Checks that the limits in docs/security.md match the defaults of settings and constants, and that no setting is missing.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { runMain, Stop } from '../lib/output.mjs';
import { ROOT } from '../lib/run.mjs';
import { importConfig } from '../lib/start-config.mjs';

const PAGE = 'docs/security.md';
const COLUMNS = 5;
/** Names of settings that limit what clients or producers can use up. */
const BOUNDS =
  /LIMIT|_PER_|TIMEOUT|^MAX_|QUOTA|_TTL_|SILENCE|LIVE_(PUSHES|IDLE|MAX)|GRACE_MS$|_CACHE_|DEMO_(SESSION|JOIN|MAX)/;
/** Limits that only the machine's owner can reach. */
const NOT_FOR_STRANGERS = new Set(['SESSION_GRACE_MS', 'WATCH_SETTLE_MS']);

/** Factors to milliseconds, bytes, or 1. The decimal megabyte is Redis'. */
const UNITS = {
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  day: 86_400_000,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  MB: 2 ** 20,
  GB: 2 ** 30,
  '%': 0.01,
};
const QUANTITY = /(\d[\d,]*(?:\.\d+)?)(?: ?(ms|s|min|h|day|KiB|MiB|GiB|MB|GB|%)(?![\w/]))?/g;

/** @param {string} text @returns {number[]} */
const quantitiesOf = (text) =>
  [...text.matchAll(QUANTITY)].map(([, digits = '', unit]) => {
    const factor = unit === undefined ? 1 : UNITS[/** @type {keyof typeof UNITS} */ (unit)];
    return Number(digits.replaceAll(',', '')) * factor;
  });

/** Reads the unit from the end of the name. @param {string} name @param {number} value */
function inBaseUnit(name, value) {
  if (/_MINUTES$/.test(name)) return value * 60_000;
  return /_SECONDS$/.test(name) ? value * 1000 : value;
}

/** @returns the numbers of a constant, in the order in which they are written. @param {string} path @param {string} name */
function constantOf(path, name) {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const value = new RegExp(`(?:const ${name}(?:: [^=]+)? = |^ *${name}: )([^;\\n]*\\d[^;\\n]*?)[;,]?$`, 'm').exec(
    text,
  )?.[1];
  if (value === undefined) throw new Stop(`${PAGE}: there is no ${name} in ${path}`);
  const terms = value.replaceAll('_', '').match(/\d[\d.]*(?: *(?:\*\*|[*+-]) *\d[\d.]*)*/g) ?? [];
  return terms.map((term) => inBaseUnit(name, arithmetic(term)));
}

/** @param {string} term of +, -, * and **, with these precedences @returns {number} */
function arithmetic(term) {
  for (const sign of ['+', '-']) {
    const at = term.lastIndexOf(sign);
    if (at > 0) {
      const [left, right] = [arithmetic(term.slice(0, at)), arithmetic(term.slice(at + 1))];
      return sign === '+' ? left + right : left - right;
    }
  }
  const factors = term.split(/(?<!\*)\*(?!\*)/).map((factor) => {
    const [base = Number.NaN, exponent = 1] = factor.split('**').map(Number);
    return base ** exponent;
  });
  return factors.reduce((product, factor) => product * factor, 1);
}

/** @param {string} page @returns {string[][]} */
function rowsOf(page) {
  const [, after = ''] = page.split(/^## Limits$/m);
  const [section = ''] = after.split(/^## /m);
  const rows = section.split('\n').filter((line) => line.startsWith('|'));
  const cells = rows.map((line) =>
    line
      .slice(1, -1)
      .split('|')
      .map((cell) => cell.trim()),
  );
  return cells.filter(([, , third = '']) => third.includes('`'));
}

/** @param {string} where @returns {{ name: string, path?: string | undefined }[]} */
function namesIn(where) {
  const names = where.matchAll(/\[`(\w+)`\]\(\.\.\/([^)]+)\)|`([A-Z][A-Z_]+)`/g);
  return [...names].map(([, constant = '', path, setting]) =>
    setting === undefined ? { name: constant, path } : { name: setting },
  );
}

/**
 * Finds what is wrong with a row. Values in another program's configuration file are covered by that file's tests.
 * @param {readonly string[]} row @param {ReadonlyMap<string, number>} defaults of the settings
 */
function faultOf(row, defaults) {
  const [what = '', , where = '', fallback = ''] = row;
  if (row.length !== COLUMNS) return `"${what}" has ${row.length} columns in place of ${COLUMNS}`;
  const names = namesIn(where);
  const inCode = names.flatMap(({ name, path }) =>
    path ? constantOf(path, name) : [defaults.get(name) ?? Number.NaN],
  );
  const documented = quantitiesOf(fallback);
  return names.length === 0 || `${documented}` === `${inCode}`
    ? undefined
    : `${where}: the page says ${documented}, the code ${inCode}`;
}

runMain(async () => {
  const { serviceSettings } = await importConfig();
  const demo = await import(pathToFileURL(join(ROOT, 'examples/demo-producer/dist/settings.js')).href);
  const settings = [...Object.values(serviceSettings), demo.demoProducerSettings].flatMap((one) => Object.values(one));
  const defaults = new Map(
    settings.map(({ variable, fallback }) => [variable, inBaseUnit(variable, Number(fallback || Number.NaN))]),
  );

  const rows = rowsOf(readFileSync(join(ROOT, PAGE), 'utf8'));
  if (rows.length === 0) throw new Stop(`${PAGE} has no limits`);
  const named = new Set(rows.flatMap(([, , where = '']) => namesIn(where).map(({ name }) => name)));
  const left = [...defaults].filter(([name, value]) => BOUNDS.test(name) && Number.isFinite(value) && !named.has(name));
  const missing = left.map(([name]) => name).filter((name) => !NOT_FOR_STRANGERS.has(name));
  const faults = rows.flatMap((row) => faultOf(row, defaults) ?? []);
  if (missing.length > 0) faults.push(`these settings are not in the list: ${missing.join(', ')}`);
  if (faults.length > 0) throw new Stop(`${PAGE}:\n  ${faults.join('\n  ')}`);
});
