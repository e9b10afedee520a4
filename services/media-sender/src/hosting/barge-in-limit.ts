import { type Rate, TokenBucket } from '../transport/token-bucket.js';

/** The budget of a session in those of a viewer, so that a person who joins again and again has no more than this. */
const SESSION_SHARE = 3;
/** Viewers whose budget is remembered, also after they have left. */
const MOST_VIEWERS = 1000;

/**
 * Limits how often voices may stop the speech of a session, so that neither a television in the room nor a hostile viewer keeps
 * the avatar from speaking.
 */
export class BargeInLimit {
  readonly #rate: Rate;
  readonly #nowMs: () => number;
  readonly #session: TokenBucket;
  readonly #viewers = new Map<string, TokenBucket>();

  /**
   * @param perMinute For one viewer; as many at once after a pause.
   * @param nowMs Monotonic.
   */
  constructor(perMinute: number, nowMs: () => number) {
    this.#rate = { perSecond: perMinute / 60, burst: perMinute };
    this.#nowMs = nowMs;
    const ofSession = { perSecond: SESSION_SHARE * this.#rate.perSecond, burst: SESSION_SHARE * this.#rate.burst };
    this.#session = new TokenBucket(ofSession, nowMs);
  }

  /** @returns Whether this viewer may stop the speech now. */
  take(viewer: string): boolean {
    const bucket = this.#viewers.get(viewer) ?? new TokenBucket(this.#rate, this.#nowMs);
    this.#viewers.delete(viewer);
    this.#viewers.set(viewer, bucket);
    const [oldest] = this.#viewers.keys();
    if (this.#viewers.size > MOST_VIEWERS && oldest !== undefined) this.#viewers.delete(oldest);
    return bucket.take() && this.#session.take();
  }
}
