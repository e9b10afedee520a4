import { type Counted, RateLimiter, type SignalingConfig } from '@humancast/shared';

const HOUR_SECONDS = 3600;

/**
 * Limits the number of TURN users per caller. coturn's `user-quota` bounds the allocations of one user; without this limit,
 * a caller could evade it with many users. A viewer keeps its user while it watches, so renewals are not counted.
 */
export class TurnUsers {
  readonly #needed: boolean;
  readonly #perNetwork: RateLimiter;
  readonly #perSession: RateLimiter;
  readonly #perKey: RateLimiter;

  constructor(
    config: Pick<SignalingConfig, 'turnUrls' | 'turnUsersPerHour' | 'turnUsersPerKeyPerHour' | 'viewerLimit'>,
  ) {
    const limiter = (setting: string, perHour: number) =>
      new RateLimiter({ setting, what: 'TURN credentials', perSecond: perHour / HOUR_SECONDS, burst: perHour });
    this.#needed = config.turnUrls.length > 0;
    this.#perNetwork = limiter('TURN_USERS_PER_HOUR', config.turnUsersPerHour);
    // All viewers of a session may have the same token.
    this.#perSession = limiter('TURN_USERS_PER_HOUR', Math.max(config.turnUsersPerHour, config.viewerLimit));
    this.#perKey = limiter('TURN_USERS_PER_KEY_PER_HOUR', config.turnUsersPerKeyPerHour);
  }

  /**
   * Counts a new user.
   * @param session Session of the caller's token, if any.
   * @throws HumancastError `rate_limited`.
   */
  admit({ key, network }: Counted, session?: string): void {
    if (!this.#needed) return;
    if (key !== undefined) {
      this.#perKey.require(key);
      return;
    }
    this.#perNetwork.require(network);
    if (session !== undefined) this.#perSession.require(session);
  }
}
