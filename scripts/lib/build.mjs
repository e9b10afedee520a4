import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Stop, seconds, step } from './output.mjs';
import { ROOT, runTool } from './run.mjs';

/** Sources of the console's bundle. */
const CONSOLE_SOURCES = [
  'apps/console/src',
  'apps/console/public',
  'apps/console/index.html',
  'apps/console/embed.html',
  'apps/console/vite.config.ts',
  'packages/client/src',
  'packages/element/src',
  'package-lock.json',
];
const CONSOLE_RESULT = 'apps/console/dist/index.html';

/** Builds what has changed since the last build. */
export async function build() {
  const since = performance.now();
  for (const result of await Promise.all([buildServices(), buildConsole()])) {
    if (result.code !== 0) throw new Stop(`the build failed:\n${result.output.trim()}`);
  }
  step('built', seconds(since));
}

/** tsc tracks by itself what is up to date. */
export function buildServices() {
  return runTool('typescript/bin/tsc', ['-b'], { quiet: true });
}

export async function buildConsole() {
  if (isNewer(CONSOLE_RESULT, CONSOLE_SOURCES)) return { code: 0, output: '' };
  return runTool('vite/bin/vite.js', ['build', '--logLevel', 'warn'], { quiet: true, cwd: join(ROOT, 'apps/console') });
}

/** @param {string} result @param {readonly string[]} sources */
function isNewer(result, sources) {
  const path = join(ROOT, result);
  if (!existsSync(path)) return false;
  const madeMs = statSync(path).mtimeMs;
  return sources.every((source) => newestMs(join(ROOT, source)) < madeMs);
}

/** @param {string} path @returns {number} */
function newestMs(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return readdirSync(path).reduce((newest, name) => Math.max(newest, newestMs(join(path, name))), stat.mtimeMs);
}
