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
import type { Hosting } from './hosting.js';

export interface SweeperOptions {
  sessionJoinTimeoutSeconds: number;
  /** This process's mailbox. */
  mailbox: string;
  timings: Pick<Timings, 'senderSweepMs' | 'sessionSweepMs' | 'orphanGraceMs'>;
}

/**
 * After a sweep that failed: Redis was away, so everyone's signs of life have run out, and those who live need this long to
 * give a new one. Longer than it takes to reconnect.
 */
const AFTERMATH_MS = 1000;

/**
 * Puts right what a process left behind that is gone. Every signaling process sweeps; each step is decided by one script
 * in Redis, so doing it twice changes nothing.
 */
export class Sweeper {
  readonly #redis: Redis;
  readonly #registry: SessionRegistry;
  readonly #senders: SenderRegistry;
  readonly #hosting: Hosting;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #options: SweeperOptions;
  /** Mailboxes that were missing at a sweep, and since when (monotonic ms). */
  #missing = new Map<string, number>();
  #trustFromMs = 0;
  #stops: (() => void)[] = [];

  constructor(
    parts: {
      redis: Redis;
      registry: SessionRegistry;
      senders: SenderRegistry;
      hosting: Hosting;
      metrics: SignalingMetrics;
      logger: Logger;
    },
    options: SweeperOptions,
  ) {
    this.#redis = parts.redis;
    this.#registry = parts.registry;
    this.#senders = parts.senders;
    this.#hosting = parts.hosting;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#options = options;
  }

  start(): void {
    const { senderSweepMs, sessionSweepMs } = this.#options.timings;
    const failed = (error: unknown) => this.#logger.warn({ err: (error as Error).message }, 'sweep failed');
    const blind = (error: unknown) => {
      this.#trustFromMs = performance.now() + AFTERMATH_MS;
      failed(error);
    };
    this.#stops = [
      every(senderSweepMs, () => this.sweepSenders(), blind),
      every(sessionSweepMs, () => this.sweepSessions(), failed),
    ];
  }

  stop(): void {
    for (const stop of this.#stops) stop();
    this.#stops = [];
  }

  /** Sessions of media-senders that have vanished go to others. */
  async sweepSenders(): Promise<void> {
    const beganMs = performance.now();
    const vanished = await this.#senders.vanished();
    if (performance.now() - beganMs > AFTERMATH_MS) this.#trustFromMs = performance.now() + AFTERMATH_MS;
    if (vanished.length === 0 || performance.now() < this.#trustFromMs) return;
    const sessions = await this.#registry.list();
    for (const sender of vanished) await this.#sweepSender(sender, sessions);
  }

  /**
   * @param sessions read before: a media-sender that is seen dead after that plays none of them, as they were read, any more.
   * If it comes back and resumes one, that can't be taken any more.
   */
  async #sweepSender(sender: string, sessions: readonly SessionRecord[]): Promise<void> {
    if (await this.#senders.isAlive(sender)) return;
    for (const session of sessions) {
      if (session.state !== 'hosted' || session.host !== sender || !(await this.#hosting.release(session))) continue;
      this.#metrics.released.inc();
      this.#logger.warn({ session: session.id, sender }, 'media-sender has vanished; its session is moved');
    }
    // It may have come back meanwhile, from a pause longer than its lease.
    if (await this.#senders.isAlive(sender)) return;
    await this.#hosting.dropSender(sender);
    await this.#senders.forget(sender);
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
    const viewers = await this.#registry.viewers(session.id);
    if (session.state !== 'hosted') {
      if (viewers.length > 0) await this.#hosting.request(session.id);
      else if (this.#isOverdue(session)) await this.#end(session.id);
    }
    for (const viewer of viewers) {
      if (await this.#isReachable(viewer.mailbox, reachable)) continue;
      // A WHEP viewer has no signalling to come back with, and plays on: its messages come to us from now on.
      const { host } =
        viewer.offer === undefined
          ? await this.#registry.removeViewer(session.id, viewer.viewer, viewer.mailbox)
          : await this.#registry.moveViewer(session.id, viewer.viewer, this.#options.mailbox);
      await this.#hosting.viewersChanged(session.id, host);
    }
  }

  #isOverdue({ createdAtMs }: SessionRecord): boolean {
    return Date.now() - createdAtMs > this.#options.sessionJoinTimeoutSeconds * 1000;
  }

  async #end(session: string): Promise<void> {
    const { ended } = await this.#registry.end(session, 'not-joined');
    if (ended) this.#logger.info({ session }, 'session ended: nobody joined in time');
  }

  /** A mailbox that is missing counts as there for a grace time: its viewers come back through another process. */
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
