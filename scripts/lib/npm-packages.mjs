import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stop, seconds, step } from './output.mjs';
import { isExecutable, PINNED_NODE, ROOT, run, withoutOwnBinaries } from './run.mjs';

/**
 * @typedef {{ version?: string, link?: boolean, optional?: boolean, devOptional?: boolean, peer?: boolean }} LockEntry
 * @typedef {{ packages: Record<string, LockEntry> }} Lock
 */

/** Installs exactly the lock file's packages, unless they are installed. */
export async function ensureNpmPackages() {
  if (packagesAreCurrent()) return;
  const since = performance.now();
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const { code, output } = await run('npm', args, { quiet: true, env: withoutOwnBinaries() });
  if (code !== 0) throw new Stop(`npm ${args.join(' ')} failed:\n${output.trim()}`);
  if (!isExecutable(PINNED_NODE)) {
    throw new Stop(`npm did not install the pinned Node (${PINNED_NODE}): its install script may have been blocked`);
  }
  step('npm packages installed', seconds(since));
}

function packagesAreCurrent() {
  const installed = join(ROOT, 'node_modules/.package-lock.json');
  if (!existsSync(installed) || !isExecutable(PINNED_NODE)) return false;
  return isInstalled(readLock(join(ROOT, 'package-lock.json')), readLock(installed));
}

/**
 * Whether npm's record of node_modules matches the lock file. Packages of other platforms are optional and not installed.
 * @param {Lock} wanted package-lock.json
 * @param {Lock} installed node_modules/.package-lock.json
 */
export function isInstalled(wanted, installed) {
  return Object.entries(wanted.packages).every(([path, entry]) => {
    const there = installed.packages[path];
    if (!there) return path === '' || entry.optional === true || entry.devOptional === true;
    return there.version === entry.version && there.link === entry.link;
  });
}

/** @param {string} path @returns {Lock} */
function readLock(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
