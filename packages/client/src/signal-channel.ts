import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import { Backoff } from './backoff.js';
import type { Environment, Socket } from './environment.js';
import { clientError, codeOfClose } from './errors.js';
import { parseSignal } from './messages.js';

const FIRST_RETRY_MS = 300;
const MAX_RETRY_MS = 8000;
/** Time limit from opening the socket to `joined`, ms. */
const JOIN_TIMEOUT_MS = 8000;
/** Lower bound of the heartbeat interval that the server names, ms. */
const MIN_HEARTBEAT_MS = 1000;

export type JoinMessage = Extract<ViewerMessage, { type: 'join' }>;

export interface SignalChannelListener {
  /** @returns The message to join with; called on every attempt. */
  join(): JoinMessage;
  message(message: SignalMessage): void;
  /** Called when the connection was lost or could not be made; another attempt follows. */
  lost(): void;
  /** Called when the server permanently rejects this viewer. The channel has closed. */
  rejected(code: string, serverMessage?: string): void;
}

/** The signaling WebSocket: joins, sends heartbeats, and reconnects after a loss until it is closed or rejected. */
export class SignalChannel {
  readonly #url: string;
  readonly #environment: Environment;
  readonly #listener: SignalChannelListener;
  readonly #backoff: Backoff;
  #socket: Socket | undefined;
  #joined = false;
  #closed = false;
  #receivedAtMs = 0;
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
      this.#reject('bad_request');
      return;
    }
    this.#socket = socket;
    socket.onopen = () => socket.send(JSON.stringify(this.#listener.join()));
    socket.onmessage = ({ data }) => this.#onMessage(data);
    socket.onclose = ({ code }) => this.#lose(codeOfClose(code));
    this.#cancelTimer = this.#environment.clock.after(JOIN_TIMEOUT_MS, () => this.#lose());
  }

  /**
   * Checks the connection after a change of networks. An attempt in progress over the old network would fail, so it is
   * restarted.
   */
  retryNow(timeoutMs: number): void {
    if (this.#joined) {
      this.check(timeoutMs);
      return;
    }
    this.#drop();
    this.open();
  }

  /**
   * Sends a ping, and treats the connection as lost if nothing arrives in time, because no event reports a dead socket after
   * a change of networks or a frozen page. Without a socket, it opens one at once.
   */
  check(timeoutMs: number): void {
    if (!this.#socket) {
      this.open();
      return;
    }
    if (!this.send({ type: 'ping' })) return;
    const pingedAtMs = this.#environment.clock.nowMs();
    this.#cancelCheck();
    this.#cancelCheck = this.#environment.clock.after(timeoutMs, () => {
      if (this.#receivedAtMs < pingedAtMs) this.#lose();
    });
  }

  /** Sends a message if the viewer has joined; nothing is queued. @returns Whether it was sent. */
  send(message: ViewerMessage): boolean {
    if (!this.#joined || !this.#socket) return false;
    this.#socket.send(JSON.stringify(message));
    return true;
  }

  close(): void {
    this.#closed = true;
    this.#drop();
  }

  #onMessage(data: unknown): void {
    this.#receivedAtMs = this.#environment.clock.nowMs();
    const message = parseSignal(data);
    if (!message) return;
    if (message.type === 'joined') {
      this.#joined = true;
      this.#backoff.reset();
      this.#beat(Math.max(MIN_HEARTBEAT_MS, message.heartbeatMs));
    }
    if (message.type !== 'error') this.#listener.message(message);
    else if (clientError(message.code).fatal) this.#reject(message.code, message.message);
    else {
      this.#listener.message(message);
      // The server closes a connection whose join it rejects; the close code adds no information.
      if (!this.#joined) this.#lose();
    }
  }

  /** Sends two pings per server interval. Silence for two intervals counts as a loss. */
  #beat(heartbeatMs: number): void {
    this.#cancelTimer();
    this.#cancelTimer = this.#environment.clock.after(heartbeatMs / 2, () => {
      if (this.#environment.clock.nowMs() - this.#receivedAtMs > 2 * heartbeatMs) {
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
      this.#reject(code);
      return;
    }
    this.#cancelTimer = this.#environment.clock.after(this.#backoff.next(), () => this.open());
    this.#listener.lost();
  }

  #reject(code: string, serverMessage?: string): void {
    if (this.#closed) return;
    this.close();
    this.#listener.rejected(code, serverMessage);
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
