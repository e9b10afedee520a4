import { setTimeout as sleep } from 'node:timers/promises';
import {
  type DecisionLog,
  type Decisions,
  type Logger,
  RemoteClock,
  type SessionRegistry,
  type ViewerJob,
  type ViewerRecord,
} from '@humancast/shared';
import { DecisionWriter } from '../playout/decision-writer.js';
import type { SessionPlayer } from '../playout/session-player.js';

/** Interval at which viewers that no media-sender has taken are offered again, and followers are counted. */
const CHECK_MS = 2000;
/** Checks in a row without followers or waiting viewers after which nothing more is published. */
const CHECKS_ALONE = 3;
/** Entries that are being written; more are dropped, because followers need them now or never. */
const PENDING_LIMIT = 64;
/** Clock samples taken before the first entry. */
const FIRST_SAMPLES = 4;
/** Time by which a host that hands a session over decides ahead, and for which it waits until that is published. */
const HAND_OVER_LEAD_MS = 1500;
const HAND_OVER_WAIT_MS = 500;

export interface SessionSpreadOptions {
  readonly session: string;
  readonly epoch: number;
  readonly registry: Pick<SessionRegistry, 'followers' | 'viewer'>;
  readonly decisions: DecisionLog;
  readonly player: SessionPlayer;
  /** The idle clip that comes next, and where it is entered. */
  readonly upcomingIdle: () => Decisions['next'][number] | undefined;
  /** Offers a viewer to media-senders that have capacity. */
  readonly offer: (job: ViewerJob) => Promise<void>;
  /** Starts the timeline, if it has not started. */
  readonly onFollowed: () => void;
  /** The epoch is over: another host has taken the session. */
  readonly onRejected: () => void;
  readonly nowMs: () => number;
  readonly logger: Logger;
}

/** Reads the clock of Redis a few times. */
export async function sampleClock(
  clock: RemoteClock,
  session: string,
  decisions: DecisionLog,
  nowMs: () => number,
  samples: number,
): Promise<void> {
  for (let i = 0; i < samples; i++) {
    const sentMs = nowMs();
    const remoteMs = await decisions.timeMs(session);
    clock.sample(sentMs, nowMs(), remoteMs);
  }
}

/** The host's side of a session that other media-senders serve, too: places viewers on them and tells them what to play. */
export class SessionSpread {
  readonly #options: SessionSpreadOptions;
  readonly #clock = new RemoteClock();
  readonly #writer = new DecisionWriter();
  /** Viewers that are offered to other media-senders. */
  readonly #offered = new Map<string, ViewerRecord>();
  #timer: NodeJS.Timeout | undefined;
  #checksAlone = 0;
  /** Whether there were followers at the last check. */
  #isFollowed = false;
  readonly #pending = new Set<Promise<void>>();
  #isPublishing = false;
  #isClosed = false;

  constructor(options: SessionSpreadOptions) {
    this.#options = options;
  }

  /** Whether other media-senders serve viewers, or are about to. */
  get isSpread(): boolean {
    return this.#timer !== undefined;
  }

  /**
   * Publishes what is played, because there are followers or will be.
   * @param isFollowed Whether the previous host had followers.
   */
  async start({ isFollowed = false } = {}): Promise<void> {
    this.#isFollowed ||= isFollowed;
    this.#checksAlone = 0;
    if (this.#timer || this.#isClosed) return;
    this.#timer = setInterval(() => void this.#check(), CHECK_MS);
    await this.#begin();
  }

  /** Begins to publish once the clock of Redis is known; {@link #check} repeats it. */
  async #begin(): Promise<void> {
    const { session, decisions, nowMs, player, onFollowed, logger } = this.#options;
    try {
      await sampleClock(this.#clock, session, decisions, nowMs, FIRST_SAMPLES);
    } catch (error) {
      logger.warn({ err: (error as Error).message }, 'reading the clock of Redis failed, retrying');
      return;
    }
    if (this.#isClosed || !this.#timer || this.#isPublishing) return;
    onFollowed();
    this.#isPublishing = true;
    const publish = decisions.publisher(session);
    player.follow(
      (step) => {
        const content = this.#writer.add(step);
        if (content) this.#publish(content, publish);
      },
      () => this.#isFollowed,
    );
    logger.info('session is played by other media-senders, too');
  }

  /** Offers a viewer to other media-senders. */
  place(record: ViewerRecord): void {
    if (this.#offered.get(record.viewer)?.attempt === record.attempt) return;
    this.#offered.set(record.viewer, record);
    void this.start();
    this.#offer(record);
  }

  /** A viewer has left, or is served. */
  placed(viewer: string): void {
    this.#offered.delete(viewer);
  }

  /** Decides so far ahead that the next host is not late for the followers. Resolves when it has been published. */
  async handOver(): Promise<void> {
    if (!this.#isPublishing) return;
    this.#options.player.decideAhead(HAND_OVER_LEAD_MS);
    await Promise.race([Promise.all(this.#pending), sleep(HAND_OVER_WAIT_MS)]);
    this.close();
  }

  close(): void {
    this.#isClosed = true;
    this.#stop();
  }

  #stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#isPublishing = false;
    this.#options.player.follow(undefined);
  }

  #publish(
    content: Pick<Decisions, 'audioSamples' | 'frames' | 'opus'>,
    publish: ReturnType<DecisionLog['publisher']>,
  ): void {
    const { epoch, player, upcomingIdle, nowMs, onRejected, logger } = this.#options;
    const { timeline, decidedResumption: after } = player;
    const { offsetMs } = this.#clock;
    if (!timeline || offsetMs === undefined || this.#pending.size >= PENDING_LIMIT) return;
    const idle = upcomingIdle();
    const entry: Decisions = {
      ...content,
      epoch,
      anchorMs: timeline.anchorMs + offsetMs,
      next: idle ? [idle, ...player.upcoming] : player.upcoming,
      after: after && { segment: after.segment, seq: after.seq, positionSamples: after.positionSamples },
    };
    const sentMs = nowMs();
    const written = publish(entry).then(
      (remoteMs) => {
        if (remoteMs === undefined) onRejected();
        else this.#clock.sample(sentMs, nowMs(), remoteMs);
      },
      (error: Error) => logger.warn({ err: error.message }, 'publishing decisions failed'),
    );
    this.#pending.add(written);
    void written.finally(() => this.#pending.delete(written));
  }

  #offer({ viewer, attempt, traceparent }: ViewerRecord): void {
    const { session, offer, logger } = this.#options;
    offer({ session, viewer, attempt, ...(traceparent !== undefined && { traceparent }) }).catch((error: Error) =>
      logger.warn({ viewer, err: error.message }, 'offering viewer to other media-senders failed, retrying'),
    );
  }

  /** Offers the viewers again that nobody has taken, and stops when nobody follows any more. */
  async #check(): Promise<void> {
    const { session, registry, logger } = this.#options;
    if (!this.#isPublishing) await this.#begin();
    try {
      for (const known of [...this.#offered.values()]) {
        const record = await registry.viewer(session, known.viewer);
        if (!record || record.sender !== undefined) this.#offered.delete(known.viewer);
        else this.#offer(record);
      }
      this.#isFollowed = (await registry.followers(session)).length > 0;
      const isAlone = this.#offered.size === 0 && !this.#isFollowed;
      this.#checksAlone = isAlone ? this.#checksAlone + 1 : 0;
      if (this.#checksAlone >= CHECKS_ALONE) this.#stop();
    } catch (error) {
      logger.warn({ err: (error as Error).message }, 'checking followers failed, retrying');
    }
  }
}
