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
/** Approximate number of a session's viewers that are checked at once; of more, the next ones at the next time. */
const VIEWERS_PER_SWEEP = 1000;

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
  /** Sessions with more viewers than are checked at once: where the next check continues. */
  #cursors = new Map<string, string>();
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

  /** Detects dead media-senders, and releases their sessions and the viewers that they served by following a session. */
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
    for (const { id: session } of sessions) {
      const viewers = await this.#router.releaseViewers(session, sender);
      if (viewers !== undefined) this.#logger.warn({ session, sender, viewers }, 'released viewers of dead follower');
    }
    if (!(await this.#senders.forgetCondemned(sender))) return;
    await this.#router.dropSender(sender);
  }

  async sweepSessions(): Promise<void> {
    const reachable = new Map<string, boolean>();
    // A mailbox may be named only by viewers that are not checked this time.
    for (const mailbox of this.#missing.keys()) {
      if (await this.#exists(mailbox, reachable)) this.#missing.delete(mailbox);
    }
    const sessions = await this.#registry.list();
    this.#metrics.sessionsSeen(sessions);
    const cursors = new Map<string, string>();
    for (const session of sessions) {
      const cursor = await this.#sweepSession(session, reachable);
      if (cursor !== undefined) cursors.set(session.id, cursor);
    }
    this.#cursors = cursors;
  }

  /** @returns Where to continue with its viewers the next time; `undefined`: from the beginning. */
  async #sweepSession(session: SessionRecord, reachable: Map<string, boolean>): Promise<string | undefined> {
    if (session.demo && secondsSince(session) > this.#options.demoMaxSeconds) {
      await this.#end(session.id, 'demo-over');
      return undefined;
    }
    const { viewers, cursor } = await this.#registry.scanViewers(
      session.id,
      this.#cursors.get(session.id),
      VIEWERS_PER_SWEEP,
    );
    if (session.state !== 'hosted') {
      if (viewers.length > 0 || (await this.#registry.viewerCount(session.id)) > 0) {
        await this.#router.request(session.id);
      } else if (this.#isOverdue(session)) await this.#end(session.id, 'not-joined');
    }
    for (const viewer of viewers) {
      if (await this.#isReachable(viewer.mailbox, reachable)) continue;
      // A WHEP viewer has no signaling to resume with and plays on; from now on its messages come to this process.
      const { sender } =
        viewer.offer === undefined
          ? await this.#registry.removeViewer(session.id, viewer.viewer, viewer.mailbox)
          : await this.#registry.moveViewer(session.id, viewer.viewer, this.#options.mailbox);
      await this.#router.viewersChanged(session.id, sender, viewer.viewer);
    }
    return cursor;
  }

  #isOverdue(session: SessionRecord): boolean {
    const { sessionJoinTimeoutSeconds, demoJoinTimeoutSeconds } = this.#options;
    return secondsSince(session) > (session.demo ? demoJoinTimeoutSeconds : sessionJoinTimeoutSeconds);
  }

  async #end(session: string, reason: string): Promise<void> {
    const { ended, ...endedAt } = await this.#registry.end(session, reason);
    await this.#router.sessionEnded(session, reason, endedAt);
    if (ended) this.#logger.info({ session, reason }, 'session ended');
  }

  /** A missing mailbox counts as reachable for a grace period, in which its viewers may resume at another process. */
  async #isReachable(mailbox: string, reachable: Map<string, boolean>): Promise<boolean> {
    if (await this.#exists(mailbox, reachable)) return true;
    const since = this.#missing.get(mailbox) ?? performance.now();
    this.#missing.set(mailbox, since);
    return performance.now() - since < this.#options.timings.orphanGraceMs;
  }

  async #exists(mailbox: string, reachable: Map<string, boolean>): Promise<boolean> {
    const exists = reachable.get(mailbox) ?? (await this.#redis.exists(keys.mailbox(mailbox))) === 1;
    reachable.set(mailbox, exists);
    return exists;
  }
}

function secondsSince({ createdAtMs }: SessionRecord): number {
  return (Date.now() - createdAtMs) / 1000;
}
