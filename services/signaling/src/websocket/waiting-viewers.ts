import { HumancastError, type Logger, type SessionRegistry } from '@humancast/shared';
import { every } from '../every.js';
import type { SignalingMetrics } from '../metrics.js';
import type { SessionRouter } from '../routing/session-router.js';
import type { Timings } from '../timings.js';
import type { ViewerConnection } from './viewer-connection.js';

interface Wait {
  readonly sinceMs: number;
  toldAtMs: number;
  position: number | undefined;
}

/**
 * Viewers who have joined and have no offer yet. Tells them their place while every media-sender is full, and makes sure
 * that neither a job nor a message that was lost leaves anyone waiting.
 */
export class WaitingViewers {
  readonly #registry: SessionRegistry;
  readonly #router: SessionRouter;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #timings: Pick<Timings, 'waitingTickMs' | 'offerMs'>;
  readonly #waits = new Map<ViewerConnection, Wait>();
  #stop = () => {};

  constructor(
    parts: { registry: SessionRegistry; router: SessionRouter; metrics: SignalingMetrics; logger: Logger },
    timings: Pick<Timings, 'waitingTickMs' | 'offerMs'>,
  ) {
    this.#registry = parts.registry;
    this.#router = parts.router;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#timings = timings;
  }

  start(): void {
    const failed = (error: unknown) => this.#logger.warn({ err: (error as Error).message }, 'waiting room failed');
    this.#stop = every(this.#timings.waitingTickMs, () => this.#look(), failed);
  }

  stop(): void {
    this.#stop();
    this.#waits.clear();
  }

  add(link: ViewerConnection): void {
    if (this.#waits.has(link)) return;
    const nowMs = performance.now();
    this.#waits.set(link, { sinceMs: nowMs, toldAtMs: nowMs, position: undefined });
  }

  async #look(): Promise<void> {
    for (const link of this.#waits.keys()) if (!link.waitsForOffer) this.#waits.delete(link);
    this.#metrics.waitingViewers.set(this.#waits.size);
    const nowMs = performance.now();
    // Someone who has only just come is being served.
    const waits = [...this.#waits].filter(([, { sinceMs }]) => nowMs - sinceMs >= this.#timings.waitingTickMs);
    if (waits.length === 0) return;
    const queue = await this.#router.waitingSessions();
    const positions = new Map(queue.map((session, index) => [session, index + 1]));
    for (const [link, wait] of waits) {
      this.#tellPosition(link, wait, positions.get(link.session));
      if (nowMs - wait.toldAtMs < this.#timings.offerMs) continue;
      wait.toldAtMs = nowMs;
      await this.#remind(link);
    }
  }

  #tellPosition(link: ViewerConnection, wait: Wait, position: number | undefined): void {
    if (position === undefined || position === wait.position || !link.waitsForOffer) return;
    wait.position = position;
    link.tellPosition(position);
  }

  /** A host that did not answer this attempt may answer the next; without a host, one is asked for again. */
  async #remind(link: ViewerConnection): Promise<void> {
    try {
      const { state } = await this.#registry.get(link.session);
      if (state === 'hosted') await link.requestOffer();
      else await this.#router.request(link.session);
    } catch (error) {
      if (error instanceof HumancastError) link.socket.fail(error.code, error.message);
      else throw error;
    }
  }
}
