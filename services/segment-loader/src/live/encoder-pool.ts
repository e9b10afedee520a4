import type { Logger } from '@humancast/shared';
import { EncoderProcess } from './encoder-process.js';

/** Keeps one spare encoder running, because starting a process and loading the codecs takes 100 ms. */
export class EncoderPool {
  readonly #logger: Logger;
  readonly #command: readonly string[] | undefined;
  #spare: EncoderProcess | undefined;
  #closed = false;

  /** @param command Command to run instead of the built encoder. */
  constructor(logger: Logger, command?: readonly string[]) {
    this.#logger = logger;
    this.#command = command;
  }

  /** Starts the first spare. */
  start(): void {
    if (!this.#closed && !this.#spare?.isUsable) this.#spare = new EncoderProcess(this.#logger, this.#command);
  }

  /** @returns An encoder for the caller's exclusive use. */
  take(): EncoderProcess {
    const spare = this.#spare?.isUsable ? this.#spare : new EncoderProcess(this.#logger, this.#command);
    this.#spare = undefined;
    // The next one starts once this one is setting up, so that it does not compete with it.
    setImmediate(() => this.start());
    return spare;
  }

  close(): void {
    this.#closed = true;
    this.#spare?.kill();
    this.#spare = undefined;
  }
}
