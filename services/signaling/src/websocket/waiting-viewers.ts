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
 * The viewers that have joined and have no offer yet. Sends them their position, or their session's, while every media-sender
 * is full, and repeats requests whose job or message may have been lost.
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
    const failed = (error: unknown) =>
      this.#logger.warn({ err: (error as Error).message }, 'checking waiting viewers failed');
    this.#stop = every(this.#timings.waitingTickMs, () => this.#check(), failed);
  }

  stop(): void {
    this.#stop();
    this.#waits.clear();
  }

  add(connection: ViewerConnection): void {
    if (this.#waits.has(connection)) return;
    const nowMs = performance.now();
    this.#waits.set(connection, { sinceMs: nowMs, toldAtMs: nowMs, position: undefined });
  }

  async #check(): Promise<void> {
    for (const connection of this.#waits.keys()) if (!connection.waitsForOffer) this.#waits.delete(connection);
    this.#metrics.waitingViewers.set(this.#waits.size);
    const nowMs = performance.now();
    // A viewer that has just joined is being served.
    const waits = [...this.#waits].filter(([, { sinceMs }]) => nowMs - sinceMs >= this.#timings.waitingTickMs);
    if (waits.length === 0) return;
    const [sessions, viewers] = await Promise.all([this.#router.waitingSessions(), this.#router.waitingViewers()]);
    // IDs of sessions and viewers differ in their prefix.
    const positions = new Map([...sessions.entries(), ...viewers.entries()].map(([index, id]) => [id, index + 1]));
    for (const [connection, wait] of waits) {
      const { session, viewer } = connection;
      this.#sendPosition(connection, wait, positions.get(viewer) ?? positions.get(session));
      if (nowMs - wait.toldAtMs < this.#timings.offerMs) continue;
      wait.toldAtMs = nowMs;
      await this.#remind(connection);
    }
  }

  #sendPosition(connection: ViewerConnection, wait: Wait, position: number | undefined): void {
    if (position === undefined || position === wait.position || !connection.waitsForOffer) return;
    wait.position = position;
    connection.sendPosition(position);
  }

  /** Repeats the request to the host, or for a host if there is none. */
  async #remind(connection: ViewerConnection): Promise<void> {
    try {
      const { state } = await this.#registry.get(connection.session);
      if (state === 'hosted') await connection.requestOfferAgain();
      else await this.#router.request(connection.session);
    } catch (error) {
      if (error instanceof HumancastError) connection.socket.fail(error.code, error.message);
      else throw error;
    }
  }
}
