import type { IncomingMessage } from 'node:http';
import {
  ConcurrencyLimiter,
  perMinute,
  perSecond,
  RateLimiter,
  type RequestLimits,
  type SignalingConfig,
} from '@humancast/shared';
import type { Caller } from '../auth/access.js';

export type LimitsConfig = Pick<
  SignalingConfig,
  | 'connectsPerMinute'
  | 'signalConnectionsPerAddress'
  | 'sessionRequestsPerSecond'
  | 'interruptsPerMinute'
  | 'messagesPerMinute'
>;

/** Rate and connection limits shared by several endpoints. Each signaling process counts for itself. */
export class Limits {
  readonly #requests: RequestLimits;
  readonly #connects: RateLimiter;
  readonly #sockets: ConcurrencyLimiter;
  readonly #guests: RateLimiter;
  readonly #interrupts: RateLimiter;
  readonly #messages: RateLimiter;

  constructor(config: LimitsConfig, requests: RequestLimits) {
    this.#requests = requests;
    this.#connects = new RateLimiter(perMinute('CONNECTS_PER_MINUTE', 'connections', config.connectsPerMinute));
    this.#sockets = new ConcurrencyLimiter({
      setting: 'SIGNAL_CONNECTIONS_PER_ADDRESS',
      what: 'WebSockets',
      limit: config.signalConnectionsPerAddress,
    });
    this.#guests = new RateLimiter(
      perSecond('SESSION_REQUESTS_PER_SECOND', 'requests', config.sessionRequestsPerSecond),
    );
    this.#interrupts = new RateLimiter(perMinute('INTERRUPTS_PER_MINUTE', 'interruptions', config.interruptsPerMinute));
    this.#messages = new RateLimiter(perMinute('MESSAGES_PER_MINUTE', 'messages', config.messagesPerMinute));
  }

  /** @returns The network and API key for which a request is counted. */
  counted(request: IncomingMessage) {
    return this.#requests.counted(request);
  }

  /** Counts a WebSocket of a producer as a request. @throws HumancastError `rate_limited`. */
  requireRequest(request: IncomingMessage): void {
    this.#requests.require(request);
  }

  /** Counts a WebSocket, demo session or WHEP request without an API key. @throws HumancastError `rate_limited`. */
  requireConnect(request: IncomingMessage): void {
    this.#connects.require(this.counted(request).network);
  }

  /** Counts a WebSocket while its connection is open. @throws HumancastError `too_many_connections`. */
  requireSocket(request: IncomingMessage): void {
    request.socket.once('close', this.#sockets.acquire(this.counted(request).network));
  }

  /** Counts a request with a session's token; API keys are counted elsewhere. @throws HumancastError `rate_limited`. */
  requireGuest(caller: Caller): void {
    if (caller.kind === 'guest') this.#guests.require(caller.claims.sid);
  }

  /** Counts an interruption by a viewer of a session. @throws HumancastError `rate_limited`. */
  requireInterrupt(session: string): void {
    this.#interrupts.require(session);
  }

  /** Counts a message by a viewer of a session. @throws HumancastError `rate_limited`. */
  requireMessage(session: string): void {
    this.#messages.require(session);
  }
}
