import type { Logger } from '@humancast/shared';
import { EncoderProcess } from './encoder-process.js';

/** Keeps one encoder running for the next push: starting a process and loading the codecs takes 100 ms. */
export class EncoderPool {
  readonly #logger: Logger;
  readonly #command: readonly string[] | undefined;
  #spare: EncoderProcess | undefined;
  #closed = false;

  /** @param command what to run instead of the encoder as built. */
  constructor(logger: Logger, command?: readonly string[]) {
    this.#logger = logger;
    this.#command = command;
  }

  /** Makes the first spare. */
  start(): void {
    if (!this.#closed && !this.#spare?.isUsable) this.#spare = new EncoderProcess(this.#logger, this.#command);
  }

  /** An encoder of the caller's own. */
  take(): EncoderProcess {
    const spare = this.#spare?.isUsable ? this.#spare : new EncoderProcess(this.#logger, this.#command);
    this.#spare = undefined;
    // The next one starts when this one is busy setting up, not before.
    setImmediate(() => this.start());
    return spare;
  }

  close(): void {
    this.#closed = true;
    this.#spare?.kill();
    this.#spare = undefined;
  }
}
