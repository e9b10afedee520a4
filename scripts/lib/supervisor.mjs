import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { eachLine } from './process-log.mjs';
import { findProgram } from './run.mjs';

/** EX_CONFIG (sysexits.h): the configuration is invalid, so a restart would not help. */
export const EXIT_CONFIG = 78;
const RESTART_FIRST_MS = 500;
const RESTART_LIMIT_MS = 15_000;
/** Run time after which the restart delay starts over. */
const HEALTHY_MS = 30_000;

/**
 * @typedef {object} ProcessSpec
 * @property {string} name
 * @property {string} command
 * @property {readonly string[]} args
 * @property {NodeJS.ProcessEnv} [env]
 * @property {string} [cwd]
 * @property {number} stopTimeoutMs time until it is killed
 * @property {() => Promise<string | undefined>} probe `undefined` if ready, else the reason
 *
 * @typedef {object} ProcessEvents
 * @property {(line: string) => void} line
 * @property {(reason: string, delayMs: number) => void} restarting
 * @property {(reason: string) => void} hopeless it can't start, and trying again won't help
 */

/**
 * A process that is restarted with growing delays until it is stopped. It leads a process group, so that the terminal's
 * Ctrl-C reaches only the supervisor, which knows the order, and no child outlives it.
 */
export class SupervisedProcess {
  /** @type {ProcessSpec} */ #spec;
  /** @type {ProcessEvents} */ #events;
  /** @type {import('node:child_process').ChildProcess | undefined} */ #child;
  /** @type {NodeJS.Timeout | undefined} */ #restart;
  #stopped = false;
  #failures = 0;
  #startedMs = 0;

  /** @param {ProcessSpec} spec @param {ProcessEvents} events */
  constructor(spec, events) {
    this.#spec = spec;
    this.#events = events;
  }

  get name() {
    return this.#spec.name;
  }

  /** Process id of the running process. */
  get pid() {
    return this.#child?.pid;
  }

  start() {
    const { command, args, env, cwd } = this.#spec;
    const [program, ...rest] = dyingWithUs(command, args);
    const child = spawn(program, rest, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.#child = child;
    this.#startedMs = performance.now();
    eachLine(child.stdout, this.#events.line);
    eachLine(child.stderr, this.#events.line);
    child.once('error', (error) => this.#ended(child, error.message, undefined));
    child.once('exit', (code, signal) => this.#ended(child, signal ? `got ${signal}` : `exit code ${code}`, code));
  }

  /** @returns {Promise<string | undefined>} `undefined` if ready, else the reason */
  async probe() {
    if (!this.#child) return 'not running';
    return this.#spec.probe();
  }

  /** Sends SIGTERM, waits, and kills the group. May be called twice. */
  async stop() {
    this.#stopped = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const timeout = new AbortController();
    await Promise.race([gone, sleep(this.#spec.stopTimeoutMs, undefined, { signal: timeout.signal }).catch(() => {})]);
    timeout.abort();
    this.kill();
  }

  /** Kills the process and its children at once. */
  kill() {
    this.#stopped = true;
    clearTimeout(this.#restart);
    killGroup(this.#child?.pid);
  }

  /** @param {import('node:child_process').ChildProcess} child @param {string} reason @param {number | null | undefined} code */
  #ended(child, reason, code) {
    if (this.#child !== child) return;
    this.#child = undefined;
    killGroup(child.pid);
    if (this.#stopped) return;
    if (code === EXIT_CONFIG) {
      this.#stopped = true;
      this.#events.hopeless(reason);
      return;
    }
    if (performance.now() - this.#startedMs > HEALTHY_MS) this.#failures = 0;
    const delayMs = Math.min(RESTART_FIRST_MS * 2 ** this.#failures, RESTART_LIMIT_MS);
    this.#failures++;
    this.#events.restarting(reason, delayMs);
    this.#restart = setTimeout(() => this.start(), delayMs);
  }
}

/** @param {number | undefined} pid the group's leader, which may have ended */
function killGroup(pid) {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The group is empty.
  }
}

const setpriv = findProgram('setpriv');

/**
 * Makes the kernel end the process when this one is killed (prctl(2), PR_SET_PDEATHSIG).
 * @param {string} command
 * @param {readonly string[]} args
 * @returns {[string, ...string[]]}
 */
function dyingWithUs(command, args) {
  return setpriv ? [setpriv, '--pdeathsig', 'TERM', command, ...args] : [command, ...args];
}

/**
 * Waits until all are ready.
 * @param {readonly SupervisedProcess[]} processes
 * @param {{ timeoutMs: number, signal: AbortSignal }} options
 * @returns {Promise<{ supervised: SupervisedProcess, reason: string }[]>} those that are not ready in time
 */
export async function waitUntilReady(processes, { timeoutMs, signal }) {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const reasons = await Promise.all(processes.map((supervised) => supervised.probe()));
    const waiting = processes.flatMap((supervised, i) => {
      const reason = reasons[i];
      return reason === undefined ? [] : [{ supervised, reason }];
    });
    if (waiting.length === 0 || performance.now() > deadline || signal.aborted) return waiting;
    await sleep(100, undefined, { signal }).catch(() => {});
  }
}
