import type { IncomingMessage } from 'node:http';
import { HumancastError, toProblem } from '@humancast/shared';
import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import type { VerifyClientCallbackAsync } from 'ws';
import { clientAddress } from '../http/client-address.js';
import type { Origins } from '../http/origins.js';
import type { AddressLimiter } from '../limits/address-limiter.js';
import type { SignalingMetrics } from '../metrics.js';

export interface SignalAdapterOptions {
  messageLimitBytes: number;
  trustProxy: boolean;
}

/** Who may open a WebSocket, decided before the upgrade: a refusal is an HTTP answer with a problem document. */
export class SignalAdapter extends WsAdapter {
  readonly #origins: Origins;
  readonly #limiter: AddressLimiter;
  readonly #metrics: SignalingMetrics;
  readonly #options: SignalAdapterOptions;
  #closed = false;

  constructor(
    app: INestApplicationContext,
    parts: { origins: Origins; limiter: AddressLimiter; metrics: SignalingMetrics },
    options: SignalAdapterOptions,
  ) {
    super(app);
    this.#origins = parts.origins;
    this.#limiter = parts.limiter;
    this.#metrics = parts.metrics;
    this.#options = options;
  }

  override create(port: number, options: { path?: string }): unknown {
    return super.create(port, {
      ...options,
      maxPayload: this.#options.messageLimitBytes,
      perMessageDeflate: false,
      clientTracking: false,
      verifyClient: this.#verify,
    });
  }

  /**
   * Messages are the socket's own matter. Nest's dispatcher runs handlers side by side and passes over what it does not know;
   * here they are taken one at a time, in order, and the unknown is told.
   */
  override bindMessageHandlers(): void {}

  /** Takes nobody new. */
  stopAccepting(): void {
    this.#closed = true;
  }

  readonly #verify: VerifyClientCallbackAsync = ({ req }, answer) => {
    const refusal = this.#refusal(req);
    if (!refusal) {
      answer(true);
      return;
    }
    this.#metrics.errors.inc({ code: refusal.code });
    answer(false, refusal.status, JSON.stringify(toProblem(refusal)), {
      'content-type': 'application/problem+json',
      ...(refusal.retryAfterSeconds !== undefined && { 'retry-after': String(refusal.retryAfterSeconds) }),
    });
  };

  #refusal(request: IncomingMessage): HumancastError | undefined {
    if (this.#closed) return new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    if (!this.#origins.allows(request)) return new HumancastError('forbidden', 'this origin is not allowed');
    if (!this.#limiter.take(clientAddress(request, this.#options.trustProxy))) {
      return new HumancastError('rate_limited', {
        detail: 'too many connections from this address',
        retryAfterSeconds: 60,
      });
    }
    return undefined;
  }
}
