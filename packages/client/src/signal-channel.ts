import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import { Backoff } from './backoff.js';
import type { Environment, Socket } from './environment.js';
import { clientError, codeOfClose } from './errors.js';
import { parseSignal } from './messages.js';

const FIRST_RETRY_MS = 300;
const MAX_RETRY_MS = 8000;
/** From opening the socket to `joined`. */
const JOIN_TIMEOUT_MS = 8000;
/** In which a server that is there answers a ping. */
const CHECK_MS = 2000;
/** Messages are sent one at a time in a second; a server that says less often is asked no more than this. */
const MIN_HEARTBEAT_MS = 1000;

export type JoinMessage = Extract<ViewerMessage, { type: 'join' }>;

export interface SignalChannelListener {
  /** What to join with, asked anew on every attempt. */
  join(): JoinMessage;
  message(message: SignalMessage): void;
  /** The connection was lost, or could not be made; another attempt follows. */
  lost(): void;
  /** Trying again makes no sense. The channel has closed. */
  refused(code: string, serverMessage?: string): void;
}

/** The signalling WebSocket: joins, keeps itself alive, and comes back after a loss until it is closed or refused. */
export class SignalChannel {
  readonly #url: string;
  readonly #environment: Environment;
  readonly #listener: SignalChannelListener;
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #joined = false;
  #closed = false;
  #heardAtMs = 0;
  #cancelTimer = () => {};
  #cancelCheck = () => {};

  constructor(url: string, environment: Environment, listener: SignalChannelListener) {
    this.#url = url;
    this.#environment = environment;
    this.#listener = listener;
    this.#backoff = new Backoff({ firstMs: FIRST_RETRY_MS, maxMs: MAX_RETRY_MS, random: environment.random });
  }

  get joined(): boolean {
    return this.#joined;
  }

  open(): void {
    if (this.#closed || this.#socket) return;
    this.#cancelTimer();
    let socket: Socket;
    try {
      socket = this.#environment.openSocket(this.#url);
    } catch {
      this.#refuse('bad_request');
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#listener.join()));
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = ({ code }) => this.#lose(codeOfClose(code));
    this.#cancelTimer = this.#environment.clock.after(JOIN_TIMEOUT_MS, () => this.#lose());
  }

  /** Tries at once what would be tried later: the network has come back. */
  retryNow(): void {
    if (!this.#socket) this.open();
  }

  /**
   * Asks the server for a sign of life, and takes the connection for lost without one: the page may have been frozen, and then no
   * event says that the socket is gone.
   */
  check(): void {
    if (!this.#socket) {
      this.open();
      return;
    }
    if (!this.send({ type: 'ping' })) return;
    const askedAtMs = this.#environment.clock.nowMs();
    this.#cancelCheck();
    this.#cancelCheck = this.#environment.clock.after(CHECK_MS, () => {
      if (this.#heardAtMs < askedAtMs) this.#lose();
    });
  }

  /** → whether it went out. Nothing is kept for later: what a viewer asked for a minute ago is not what they want now. */
  send(message: ViewerMessage): boolean {
    if (!this.#joined || !this.#socket) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #hear(data: unknown): void {
    this.#heardAtMs = this.#environment.clock.nowMs();
    const message = parseSignal(data);
    if (!message) return;
    if (message.type === 'joined') {
      this.#joined = true;
      this.#backoff.reset();
      this.#beat(Math.max(MIN_HEARTBEAT_MS, message.heartbeatMs));
    }
    if (message.type !== 'error') this.#listener.message(message);
    else if (clientError(message.code).fatal) this.#refuse(message.code, message.message);
    else {
      this.#listener.message(message);
      // The server closes a connection whose join it refuses; what the close code says besides is not the reason.
      if (!this.#joined) this.#lose();
    }
  }

  /** Two pings within the server's interval, so that a late one is not yet a lost one; silence for two of it is a loss. */
  #beat(heartbeatMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#environment.clock.after(heartbeatMs / 2, () => {
      if (this.#environment.clock.nowMs() - this.#heardAtMs > 2 * heartbeatMs) {
        this.#lose();
        return;
      }
      this.send({ type: 'ping' });
      this.#beat(heartbeatMs);
    });
  }

  #lose(code?: string): void {
    this.#drop();
    if (code !== undefined) {
      this.#refuse(code);
      return;
    }
    this.#cancelTimer = this.#environment.clock.after(this.#backoff.next(), () => this.open());
    this.#listener.lost();
  }

  #refuse(code: string, serverMessage?: string): void {
    if (this.#closed) return;
    this.close();
    this.#listener.refused(code, serverMessage);
  }

  #drop(): void {
    this.#cancelTimer();
    this.#cancelCheck();
    this.#joined = false;
    const socket = this.#socket;
    this.#socket = undefined;
    if (!socket) return;
    socket.onopen = null;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }
}
