/** Bounds that nobody needs to configure. Tests shorten them. */
export interface Timings {
  /** In which a WebSocket must send its `join`. */
  joinMs: number;
  /** Between looks at the viewers who wait for an offer. */
  waitingTickMs: number;
  /** Without an offer, after which the host is told again. */
  offerMs: number;
  /** In which a host must say where its playhead is; then the saved one is shown. */
  inspectMs: number;
  /** In which a host must answer a WHEP offer. */
  whepAnswerMs: number;
  /** Between looks for media-senders that have vanished. */
  senderSweepMs: number;
  /** Between looks for sessions that nobody joined, jobs that were lost, and viewers whose signaling process is gone. */
  sessionSweepMs: number;
  /** For which a mailbox must be missing before its viewers are taken over or removed: they may come back elsewhere. */
  orphanGraceMs: number;
  /** Between comments that keep an event stream open through proxies. */
  eventHeartbeatMs: number;
  /** In which a reader must take what is left of an event stream that ends; then the connection is cut. */
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
