import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Claims a folder for this process until it ends: two stacks must not share a job database.
 * @param {string} folder
 * @returns {number | undefined} the process that holds it, if any
 */
export function claimFolder(folder) {
  const file = join(folder, 'running.pid');
  const owner = readPid(file);
  if (owner !== undefined && owner !== process.pid && isOneOfUs(owner)) return owner;
  writeFileSync(file, `${process.pid}\n`);
  process.on('exit', () => rmSync(file, { force: true }));
  return undefined;
}

/** @param {string} file */
function readPid(file) {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}

/** Process ids are reused, at the latest after a reboot, so the command line must match, too. @param {number} pid */
function isOneOfUs(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('start.mjs');
  } catch {
    return false;
  }
}
