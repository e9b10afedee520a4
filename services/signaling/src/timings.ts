/** Time limits and intervals that are not configurable, ms. Tests shorten them. */
export interface Timings {
  /** Time limit for a WebSocket's `join`. */
  joinMs: number;
  /** Interval of checks on viewers that wait for an offer. */
  waitingTickMs: number;
  /** Time without an offer after which the host is notified again. */
  offerMs: number;
  /** Time limit for a host to report its playhead; afterwards the saved one is shown. */
  inspectMs: number;
  /** Time limit for a host to answer a WHEP offer. */
  whepAnswerMs: number;
  /** Interval of checks for dead media-senders. */
  senderSweepMs: number;
  /** Interval of checks for unjoined sessions, lost jobs and viewers of dead signaling processes. */
  sessionSweepMs: number;
  /**
   * Time that a mailbox must be missing before its viewers are taken over or removed; until then they may resume elsewhere.
   */
  orphanGraceMs: number;
  /** Interval of comments that keep an event stream open through proxies. */
  eventHeartbeatMs: number;
  /** Time limit for reading the rest of an event stream that ends; then the connection is closed. */
  eventLingerMs: number;
}

/** NestJS token of the {@link Timings}. */
export const TIMINGS_TOKEN = Symbol('timings');

export const TIMINGS: Readonly<Timings> = {
  joinMs: 5000,
  waitingTickMs: 1000,
  offerMs: 3000,
  inspectMs: 300,
  whepAnswerMs: 5000,
  senderSweepMs: 100,
  sessionSweepMs: 5000,
  orphanGraceMs: 10_000,
  eventHeartbeatMs: 15_000,
  eventLingerMs: 5000,
};
