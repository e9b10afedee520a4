import { spawn } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** The pinned Node.js, which runs everything except these scripts. */
export const PINNED_NODE = join(ROOT, 'node_modules/node/bin/node');

/** Output kept of a quiet command, for error reports. */
const OUTPUT_LIMIT = 1_000_000;

/**
 * @typedef {object} RunOptions
 * @property {NodeJS.ProcessEnv} [env]
 * @property {boolean} [quiet] capture the output instead of printing it
 * @property {string} [cwd]
 */

/**
 * Runs a command until it ends.
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 * @returns {Promise<{ code: number, output: string }>} code 127 if the command is not found; `output` only if quiet
 */
export function run(command, args, { env = process.env, quiet = false, cwd = ROOT } = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: ['ignore', quiet ? 'pipe' : 'inherit', quiet ? 'pipe' : 'inherit'],
    });
    let output = '';
    const keep = (/** @type {Buffer} */ chunk) => {
      output = (output + chunk.toString('utf8')).slice(-OUTPUT_LIMIT);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('error', (error) => done({ code: 127, output: error.message }));
    child.once('close', (code, signal) => done({ code: code ?? (signal ? 1 : 0), output }));
  });
}

/**
 * Runs a tool from node_modules on the pinned Node.js.
 * @param {string} tool its file under node_modules, e.g. `typescript/bin/tsc`
 * @param {readonly string[]} args
 * @param {RunOptions} [options]
 */
export function runTool(tool, args, options) {
  return run(PINNED_NODE, [join(ROOT, 'node_modules', tool), ...args], {
    ...options,
    env: withPinnedNode(options?.env),
  });
}

/** @returns the environment with the pinned Node.js first on the path, for tools that start `node`. */
export function withPinnedNode(env = process.env) {
  return { ...env, PATH: [dirname(PINNED_NODE), env['PATH']].join(delimiter) };
}

/** @returns the environment without this repository's binaries on the path, which `npm ci` is about to replace. */
export function withoutOwnBinaries(env = process.env) {
  const own = (/** @type {string} */ folder) => folder.startsWith(join(ROOT, 'node_modules'));
  return {
    ...env,
    PATH: (env['PATH'] ?? '')
      .split(delimiter)
      .filter((folder) => !own(folder))
      .join(delimiter),
  };
}

/** Folders of Debian's servers, which may not be on the path. */
const SERVER_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * Finds a program.
 * @param {string} name
 * @returns {string | undefined}
 */
export function findProgram(name, env = process.env) {
  const folders = [...(env['PATH'] ?? '').split(delimiter).filter(Boolean), ...SERVER_FOLDERS];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

/** @param {string} path */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
