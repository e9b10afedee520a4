import { randomUUID } from 'node:crypto';
import {
  keys,
  type Logger,
  type Redis,
  type SenderRegistry,
  type SessionRecord,
  type SessionRegistry,
} from '@humancast/shared';
import { every } from '../every.js';
import type { SignalingMetrics } from '../metrics.js';
import type { Timings } from '../timings.js';
import type { SessionRouter } from './session-router.js';

export interface SweeperOptions {
  sessionJoinTimeoutSeconds: number;
  demoJoinTimeoutSeconds: number;
  demoMaxSeconds: number;
  /** Address of this process's mailbox. */
  mailbox: string;
  timings: Pick<Timings, 'senderSweepMs' | 'sessionSweepMs' | 'orphanGraceMs'>;
}

/**
 * Fraction of the lease for which a suspicion must stand. Media-senders pause after four fifths (`MARGIN` of their lease).
 */
const CONDEMN_AFTER = 0.9;

/**
 * Cleans up after dead processes. Every signaling process sweeps; each step is one atomic script in Redis, so repeating it
 * changes nothing.
 */
export class Sweeper {
  readonly #redis: Redis;
  readonly #registry: SessionRegistry;
  readonly #senders: SenderRegistry;
  readonly #router: SessionRouter;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #options: SweeperOptions;
  /** Time since which each mailbox has been missing, monotonic ms. */
  #missing = new Map<string, number>();
  /** Suspected media-senders: the suspicion's id, and since when this process knows it, monotonic ms. */
  readonly #suspects = new Map<string, { suspicion: string; sinceMs: number }>();
  #stops: (() => void)[] = [];

  constructor(
    parts: {
      redis: Redis;
      registry: SessionRegistry;
      senders: SenderRegistry;
      router: SessionRouter;
      metrics: SignalingMetrics;
      logger: Logger;
    },
    options: SweeperOptions,
  ) {
    this.#redis = parts.redis;
    this.#registry = parts.registry;
    this.#senders = parts.senders;
    this.#router = parts.router;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#options = options;
  }

  start(): void {
    const { senderSweepMs, sessionSweepMs } = this.#options.timings;
    const failed = (error: unknown) => this.#logger.warn({ err: (error as Error).message }, 'sweep failed');
    this.#stops = [
      every(senderSweepMs, () => this.sweepSenders(), failed),
      every(sessionSweepMs, () => this.sweepSessions(), failed),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  /** Detects dead media-senders and releases their sessions. */
  async sweepSenders(): Promise<void> {
    const ids = await this.#senders.known();
    const liveness = await this.#senders.liveness(ids);
    for (const [id, { overdue, leaseMs }] of liveness) {
      if (overdue) await this.#suspect(id, leaseMs);
      else this.#suspects.delete(id);
    }
    for (const id of this.#suspects.keys()) if (!liveness.has(id)) this.#suspects.delete(id);
  }

  /**
   * Suspects a media-sender whose heartbeat is overdue, and condemns it once this process has known the same suspicion for
   * most of a lease. A live media-sender withdraws the suspicion. The time runs from Redis's answer, on this process's
   * monotonic clock.
   */
  async #suspect(id: string, leaseMs: number): Promise<void> {
    const suspicion = await this.#senders.suspect(id, randomUUID());
    const known = this.#suspects.get(id);
    const nowMs = performance.now();
    if (known?.suspicion !== suspicion) this.#suspects.set(id, { suspicion, sinceMs: nowMs });
    else if (nowMs - known.sinceMs >= leaseMs * CONDEMN_AFTER) await this.#takeFrom(id, suspicion);
  }

  async #takeFrom(sender: string, suspicion: string): Promise<void> {
    // Read first, so that a session that the media-sender resumes after it was condemned is not taken from it.
    const sessions = await this.#registry.list();
    if (!(await this.#senders.condemn(sender, suspicion))) return;
    for (const session of sessions) {
      if (session.state !== 'hosted' || session.host !== sender || !(await this.#router.release(session))) continue;
      this.#metrics.released.inc();
      this.#logger.warn({ session: session.id, sender }, 'released session of dead media-sender');
    }
    if (!(await this.#senders.forgetCondemned(sender))) return;
    await this.#router.dropSender(sender);
  }

  async sweepSessions(): Promise<void> {
    const reachable = new Map<string, boolean>();
    const sessions = await this.#registry.list();
    this.#metrics.sessionsSeen(sessions);
    for (const session of sessions) await this.#sweepSession(session, reachable);
    for (const mailbox of this.#missing.keys()) {
      if (!this.#isMissing(mailbox, reachable)) this.#missing.delete(mailbox);
    }
  }

  async #sweepSession(session: SessionRecord, reachable: Map<string, boolean>): Promise<void> {
    if (session.demo && secondsSince(session) > this.#options.demoMaxSeconds) {
      await this.#end(session.id, 'demo-over');
      return;
    }
    const viewers = await this.#registry.viewers(session.id);
    if (session.state !== 'hosted') {
      if (viewers.length > 0) await this.#router.request(session.id);
      else if (this.#isOverdue(session)) await this.#end(session.id, 'not-joined');
    }
    for (const viewer of viewers) {
      if (await this.#isReachable(viewer.mailbox, reachable)) continue;
      // A WHEP viewer has no signaling to resume with and plays on; from now on its messages come to this process.
      const { sender } =
        viewer.offer === undefined
          ? await this.#registry.removeViewer(session.id, viewer.viewer, viewer.mailbox)
          : await this.#registry.moveViewer(session.id, viewer.viewer, this.#options.mailbox);
      await this.#router.viewersChanged(session.id, sender);
    }
  }

  #isOverdue(session: SessionRecord): boolean {
    const { sessionJoinTimeoutSeconds, demoJoinTimeoutSeconds } = this.#options;
    return secondsSince(session) > (session.demo ? demoJoinTimeoutSeconds : sessionJoinTimeoutSeconds);
  }

  async #end(session: string, reason: string): Promise<void> {
    const { ended, host } = await this.#registry.end(session, reason);
    if (host !== undefined) await this.#router.send(host, { type: 'session.end', session, reason });
    if (ended) this.#logger.info({ session, reason }, 'session ended');
  }

  /** A missing mailbox counts as reachable for a grace period, in which its viewers may resume at another process. */
  async #isReachable(mailbox: string, reachable: Map<string, boolean>): Promise<boolean> {
    if (!reachable.has(mailbox)) reachable.set(mailbox, (await this.#redis.exists(keys.mailbox(mailbox))) === 1);
    if (!this.#isMissing(mailbox, reachable)) return true;
    const since = this.#missing.get(mailbox) ?? performance.now();
    this.#missing.set(mailbox, since);
    return performance.now() - since < this.#options.timings.orphanGraceMs;
  }

  #isMissing(mailbox: string, reachable: Map<string, boolean>): boolean {
    return reachable.get(mailbox) === false;
  }
}

function secondsSince({ createdAtMs }: SessionRecord): number {
  return (Date.now() - createdAtMs) / 1000;
}
