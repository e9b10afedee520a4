import { join } from 'node:path';
import { dim, red, say, seconds, step, yellow } from './output.mjs';
import { onceOrphaned } from './parent.mjs';
import { ProcessLog, readable } from './process-log.mjs';
import { SupervisedProcess, waitUntilReady } from './supervisor.mjs';

/** Time within which a second signal is a duplicate: npm forwards the terminal's Ctrl-C, which this process also received. */
const SAME_SIGNAL_MS = 500;
const SHOWN_ALWAYS = ['warn', 'error', 'fatal'];

/**
 * Starts groups of processes one after the other, prints their important log lines, and stops them in reverse order on a
 * signal or when the parent ends.
 */
export class Runner {
  /** @type {{ supervised: SupervisedProcess, log: ProcessLog }[][]} */ #groups = [];
  #stop = new AbortController();
  /** @type {string} */ #logFolder;
  /** @type {boolean} */ #verbose;

  /** @param {{ logFolder: string, verbose: boolean }} options */
  constructor({ logFolder, verbose }) {
    this.#logFolder = logFolder;
    this.#verbose = verbose;
    this.#listenToSignals();
  }

  get stopping() {
    return this.#stop.signal.aborted;
  }

  /**
   * Starts a group and waits until it is ready. If one process does not become ready, everything is stopped.
   * @param {string} what
   * @param {readonly import('./supervisor.mjs').ProcessSpec[]} specs
   * @param {number} timeoutMs
   */
  async start(what, specs, timeoutMs) {
    if (this.stopping) return;
    const since = performance.now();
    const group = specs.map((spec) => this.#make(spec));
    this.#groups.push(group);
    for (const { supervised } of group) supervised.start();
    const all = group.map(({ supervised }) => supervised);
    const waiting = await waitUntilReady(all, { timeoutMs, signal: this.#stop.signal });
    if (this.stopping) return;
    if (waiting.length === 0)
      return step(`${what} are ready`, `${specs.map(({ name }) => name).join(', ')}, ${seconds(since)}`);
    for (const { supervised, reason } of waiting) this.#report(supervised.name, `is not ready: ${reason}`);
    await this.#end(1);
  }

  /** @param {import('./supervisor.mjs').ProcessSpec} spec */
  #make(spec) {
    const log = new ProcessLog(join(this.#logFolder, `${spec.name}.log`));
    const supervised = new SupervisedProcess(spec, {
      line: (line) => {
        log.write(line);
        this.#show(spec.name, line);
      },
      restarting: (reason, delayMs) => {
        this.#report(spec.name, `ended (${reason}); restarting in ${delayMs / 1000} s`);
      },
      hopeless: (reason) => {
        this.#report(spec.name, `cannot start (${reason})`);
        void this.#end(1);
      },
    });
    return { supervised, log };
  }

  /** @param {string} name @param {string} line */
  #show(name, line) {
    const { level, text } = readable(line);
    if (!this.#verbose && !SHOWN_ALWAYS.includes(level)) return;
    const mark = level === 'warn' ? yellow(level) : SHOWN_ALWAYS.includes(level) ? red(level) : dim(level);
    say(`${dim(name)} ${level === 'plain' ? text : `${mark} ${text}`}`);
  }

  /** Reports a problem of a process, with the last lines of its log. @param {string} name @param {string} what */
  #report(name, what) {
    const log = this.#groups.flat().find(({ supervised }) => supervised.name === name)?.log;
    say(`${red('✗')} ${name} ${what}`);
    for (const line of log?.tail ?? []) say(`    ${dim(readable(line).text)}`);
    if (log) say(`    ${dim(`(${log.path})`)}`);
  }

  #listenToSignals() {
    let firstMs = 0;
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      process.on(signal, () => {
        if (!this.stopping) {
          firstMs = performance.now();
          say(`\nStopping${signal === 'SIGINT' ? '; Ctrl-C again to stop at once' : ''} …`);
          void this.#end(0);
        } else if (performance.now() - firstMs > SAME_SIGNAL_MS) {
          process.exit(1);
        }
      });
    }
    // Stops when npm was killed. Without npm, the stack may outlive the shell.
    if (process.env['npm_lifecycle_event'] !== undefined) {
      onceOrphaned(() => {
        if (!this.stopping) say('\nnpm has ended; stopping …');
        void this.#end(0);
      });
    }
    process.on('exit', () => {
      for (const { supervised } of this.#groups.flat()) supervised.kill();
    });
  }

  /** Stops the last group first: services before databases. @param {number} exitCode */
  async #end(exitCode) {
    if (this.stopping) return;
    this.#stop.abort();
    for (const group of this.#groups.toReversed()) {
      await Promise.all(group.map(({ supervised }) => supervised.stop()));
    }
    if (exitCode === 0) step('stopped');
    process.exit(exitCode);
  }
}
