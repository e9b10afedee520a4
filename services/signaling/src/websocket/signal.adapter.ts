import type { IncomingMessage } from 'node:http';
import { HumancastError, toProblem } from '@humancast/shared';
import { asHumancastError } from '@humancast/shared/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import type { VerifyClientCallbackAsync } from 'ws';
import type { KnownHosts } from '../http/known-hosts.js';
import type { Origins } from '../http/origins.js';
import type { Limits } from '../limits/limits.js';
import type { SignalingMetrics } from '../metrics.js';

export interface SignalAdapterOptions {
  messageLimitBytes: number;
}

/** Who may open a WebSocket, decided before the upgrade: a refusal is an HTTP answer with a problem document. */
export class SignalAdapter extends WsAdapter {
  readonly #hosts: KnownHosts;
  readonly #origins: Origins;
  readonly #limits: Limits;
  readonly #metrics: SignalingMetrics;
  readonly #options: SignalAdapterOptions;
  #closed = false;

  constructor(
    app: INestApplicationContext,
    parts: { hosts: KnownHosts; origins: Origins; limits: Limits; metrics: SignalingMetrics },
    options: SignalAdapterOptions,
  ) {
    super(app);
    this.#hosts = parts.hosts;
    this.#origins = parts.origins;
    this.#limits = parts.limits;
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
    try {
      this.#admit(req);
      answer(true);
    } catch (thrown) {
      const refusal = asHumancastError(thrown);
      this.#metrics.told(refusal);
      answer(false, refusal.status, JSON.stringify(toProblem(refusal)), {
        // In ws's own spelling, so that it replaces ws's default.
        'Content-Type': 'application/problem+json',
        ...(refusal.retryAfterSeconds !== undefined && { 'retry-after': String(refusal.retryAfterSeconds) }),
      });
    }
  };

  #admit(request: IncomingMessage): void {
    if (this.#closed) throw new HumancastError('unavailable', { detail: 'restarting', retryAfterSeconds: 1 });
    this.#hosts.require(request);
    if (!this.#origins.allows(request)) throw new HumancastError('forbidden', 'this origin is not allowed');
    this.#limits.requireConnect(request);
    this.#limits.requireSocket(request);
  }
}
