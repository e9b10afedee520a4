import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';

const queuedSchema = z.object({ queued: z.array(z.object({ seq: z.int(), segment: z.string() })) });
const TIMEOUT_MS = 10_000;
const RETRY_MS = 300;

export interface SpeechLoopOptions {
  readonly signalingUrls: readonly string[];
  readonly apiKey: string;
  readonly session: string;
  readonly segment: string;
  /** Time between two requests, ms: about the segment's length, so that the queue neither grows nor drains. */
  readonly intervalMs: number;
}

/** Queues a segment repeatedly, and records the accepted queue positions. */
export class SpeechLoop {
  /** Queue positions named by a 202. */
  readonly accepted: number[] = [];
  /** Failed requests, which may have been accepted nevertheless. */
  failures = 0;
  readonly #options: SpeechLoopOptions;
  readonly #done: Promise<void>;
  #stopped = false;

  constructor(options: SpeechLoopOptions) {
    this.#options = options;
    this.#done = this.#talk();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #talk(): Promise<void> {
    while (!this.#stopped) {
      const spoken = await this.#speak();
      await sleep(spoken ? this.#options.intervalMs : RETRY_MS);
    }
  }

  async #speak(): Promise<boolean> {
    const { signalingUrls, apiKey, session, segment } = this.#options;
    const base = signalingUrls[Math.floor(Math.random() * signalingUrls.length)];
    try {
      const response = await fetch(`${base}/v1/sessions/${session}/speak`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: JSON.stringify({ segments: [segment] }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      if (response.status !== 202) throw new Error(`${response.status} ${await response.text()}`);
      const { queued } = queuedSchema.parse(await response.json());
      this.accepted.push(...queued.map(({ seq }) => seq));
      return true;
    } catch {
      this.failures++;
      return false;
    }
  }
}
