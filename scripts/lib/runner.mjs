import { join } from 'node:path';
import { dim, red, say, seconds, step, yellow } from './output.mjs';
import { onceOrphaned } from './parent.mjs';
import { ProcessLog, readable } from './process-log.mjs';
import { SupervisedProcess, waitUntilReady } from './supervisor.mjs';

/** npm hands the terminal's Ctrl-C on to us, who got it already; a person is slower than this. */
const SAME_SIGNAL_MS = 500;
const SHOWN_ALWAYS = ['warn', 'error', 'fatal'];

/**
 * Starts groups of processes one after the other, shows what a person should know about them, and ends them in the
 * opposite order when we are told to end, however that happens.
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
   * Starts a group and waits until it is ready. One that does not get ready ends everything.
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
        this.#report(spec.name, `ended (${reason}); it is started again in ${delayMs / 1000} s`);
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

  /** Something is wrong with a process: what, and its last words. @param {string} name @param {string} what */
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
          say(`\nEnding${signal === 'SIGINT' ? '; Ctrl-C again to end at once' : ''} …`);
          void this.#end(0);
        } else if (performance.now() - firstMs > SAME_SIGNAL_MS) {
          process.exit(1);
        }
      });
    }
    // npm was killed. Started by hand, we may outlive the shell we came from.
    if (process.env['npm_lifecycle_event'] !== undefined) {
      onceOrphaned(() => {
        if (!this.stopping) say('\nnpm has ended: ending …');
        void this.#end(0);
      });
    }
    process.on('exit', () => {
      for (const { supervised } of this.#groups.flat()) supervised.kill();
    });
  }

  /** The last started first: services, then what they stand on. @param {number} exitCode */
  async #end(exitCode) {
    if (this.stopping) return;
    this.#stop.abort();
    for (const group of this.#groups.toReversed()) {
      await Promise.all(group.map(({ supervised }) => supervised.stop()));
    }
    if (exitCode === 0) step('ended');
    process.exit(exitCode);
  }
}
