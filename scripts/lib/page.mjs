import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stop, say } from './output.mjs';
import { ROOT } from './run.mjs';

/**
 * Writes a generated page; with `--check` on the command line, fails if the page differs.
 * @param {string} path
 * @param {string} text
 */
export function writePage(path, text) {
  const file = join(ROOT, path);
  const before = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  if (before === text) return;
  if (process.argv.includes('--check')) throw new Stop(`${path} is out of date: run npm run docs`);
  writeFileSync(file, text);
  say(`wrote ${path}`);
}

/**
 * @returns A Markdown table.
 * @param {readonly string[]} head
 * @param {readonly (readonly string[])[]} rows
 */
export function table(head, rows) {
  const line = (/** @type {readonly string[]} */ cells) => `| ${cells.map(escapeCell).join(' | ')} |`;
  return [line(head), `|${' --- |'.repeat(head.length)}`, ...rows.map(line)].join('\n');
}

/** @param {string} text */
const escapeCell = (text) => text.replaceAll('|', '\\|');
