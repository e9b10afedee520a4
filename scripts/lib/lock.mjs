import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Claims a folder for this process until it ends: two stacks on one database of jobs would ruin it.
 * @param {string} folder
 * @returns {number | undefined} the process that has it, if any
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

/** Process ids are used again, after a reboot at the latest: it must also look like us. @param {number} pid */
function isOneOfUs(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('start.mjs');
  } catch {
    return false;
  }
}
