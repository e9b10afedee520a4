import type { MessageData, SessionEvent, ViewerMessage } from '@humancast/protocol';
import {
  HumancastError,
  type Logger,
  type SessionRegistry,
  TokenBucket,
  type ToSender,
  type Tracer,
  traceFields,
} from '@humancast/shared';
import type { ViewerPost } from '../routing/inbox.js';
import type { SessionRouter } from '../routing/session-router.js';
import type { TurnCredentials } from '../turn/turn-credentials.js';
import { JoinTrace } from './join-trace.js';
import type { SignalSocket } from './signal-socket.js';

/**
 * Number of a viewer's peer connections whose media-sender is remembered: the playing one, and the next one while the session
 * moves.
 */
const CONNECTIONS_KEPT = 4;
/** Rate limit of a viewer's `reconnect` messages: burst and refill. */
const RECONNECTS_AT_ONCE = 5;
const RECONNECTS_PER_SECOND = 0.5;

export interface ViewerConnectionParts {
  registry: SessionRegistry;
  router: SessionRouter;
  logger: Logger;
  tracer: Tracer;
  /** Address of this process's mailbox, at which hosts reach the viewer. */
  mailbox: string;
  viewerLimit: number;
  turn: TurnCredentials;
  /** Repeats the request for an offer while there is none. */
  waitingViewers: { add(connection: ViewerConnection): void };
  /** Ends everything queued in the session. */
  interrupt(session: string): Promise<unknown>;
  /** Sends a message of a viewer to the session's producers. */
  sendToProducers(session: string, viewer: string, data: MessageData): Promise<void>;
}

/** A joined viewer on its current WebSocket. Forwards messages between the viewer and its media-sender. */
export class ViewerConnection {
  readonly session: string;
  readonly viewer: string;
  readonly socket: SignalSocket;
  readonly #microphone: boolean;
  readonly #parts: ViewerConnectionParts;
  readonly #reconnects = new TokenBucket(RECONNECTS_AT_ONCE, RECONNECTS_PER_SECOND);
  /** The media-sender of each peer connection, newest last. */
  readonly #senders = new Map<string, Promise<string | undefined>>();
  #newestEpoch: number;
  #trace: JoinTrace;
  /** The peer connection that the trace covers. */
  #offered: string | undefined;
  #waitsForOffer = false;
  /** Peer connections that have failed: the relay may be the reason, so each moves the viewer to the next one. */
  #failures = 0;
  /** The latest requested attempt. */
  #attempt = 1;
  /** Messages that arrived before `joined` was sent. */
  #held: ViewerPost[] | undefined = [];

  constructor(
    parts: ViewerConnectionParts,
    socket: SignalSocket,
    of: { session: string; viewer: string; microphone: boolean; epoch: number; trace: JoinTrace },
  ) {
    this.#parts = parts;
    this.socket = socket;
    socket.isOf(of.session, of.viewer);
    this.session = of.session;
    this.viewer = of.viewer;
    this.#microphone = of.microphone;
    this.#newestEpoch = of.epoch;
    this.#trace = of.trace;
  }

  get waitsForOffer(): boolean {
    return this.#waitsForOffer && this.socket.isOpen;
  }

  /** Requests a new peer connection: a media-sender makes an offer. */
  async requestOffer(): Promise<void> {
    this.#waitsForOffer = true;
    const { registry, mailbox, viewerLimit, router } = this.#parts;
    const { traceparent } = this.#trace;
    const { session, viewer } = this;
    const options = { limit: viewerLimit, microphone: this.#microphone, traceparent };
    const { attempt, sender } = await registry.putViewer(session, viewer, mailbox, options);
    this.#attempt = attempt;
    this.#parts.waitingViewers.add(this);
    await router.viewerWaits(this, sender, traceparent);
  }

  /** Requests an offer again, unless the viewer waits in the queue of viewers: a new request would lose its position. */
  async requestOfferAgain(): Promise<void> {
    const { session, viewer } = this;
    if (await this.#parts.router.isQueued({ session, viewer, attempt: this.#attempt })) return;
    await this.requestOffer();
  }

  /** Delivers the messages that arrived before `joined` was sent. */
  start(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const message of held) this.deliver(message);
  }

  /**
   * Forwards a host's message to the viewer. One with an older epoch comes from a host that lost its lease, and is dropped.
   */
  deliver(message: ViewerPost): void {
    if (this.#held) {
      this.#held.push(message);
      return;
    }
    if (!('epoch' in message) || message.epoch < this.#newestEpoch) return;
    this.#newestEpoch = message.epoch;
    switch (message.type) {
      case 'viewer.offer': {
        const { connection, epoch, sdp, codec, sender } = message;
        this.#waitsForOffer = false;
        this.#offered = connection;
        this.#remember(connection, sender);
        // The credentials sent with `joined` may have expired: a viewer may watch for days.
        const iceServers = this.#parts.turn.issue(this.viewer, this.#failures);
        const renewed = iceServers.length > 0 && { iceServers };
        this.socket.send({ type: 'offer', connection, epoch, sdp, ...(codec && { codec }), ...renewed });
        return;
      }
      case 'viewer.closed':
        this.#senders.delete(message.connection);
        if (message.connection === this.#offered) this.#trace.over(message.reason);
        this.socket.send({ type: 'closed', connection: message.connection, reason: message.reason });
        return;
      case 'viewer.error':
        this.#parts.logger.info(
          { session: this.session, viewer: this.viewer, code: message.code, ...traceFields(this.#trace.traceparent) },
          'viewer error',
        );
        this.#trace.over(message.code);
        this.socket.send({ type: 'error', code: message.code, message: message.message });
        return;
      case 'viewer.answered':
        return;
    }
  }

  sendEvent(event: SessionEvent): void {
    if (event.type === 'viewer.connected' && event.viewer === this.viewer) this.#trace.connected(event.atMs);
    if (event.type === 'viewer.message') return;
    if (event.type === 'session.message') {
      if (event.viewer === undefined || event.viewer === this.viewer) {
        this.socket.send({ type: 'message', data: event.data });
      }
      return;
    }
    this.socket.send({ type: 'event', event });
    if (event.type === 'session.ended') this.socket.fail('session_ended', `the session has ended: ${event.reason}`);
  }

  sendPosition(position: number): void {
    this.socket.send({ type: 'waiting', position });
  }

  /** Forwards the viewer's answer to the media-sender that made the offer. */
  answer(message: Extract<ViewerMessage, { type: 'answer' }>): Promise<void> {
    const { session, viewer } = this;
    return this.#toSender(message.connection, { ...message, type: 'viewer.answer', session, viewer });
  }

  /** Forwards the viewer's measurements to the media-sender of the connection that they are about. */
  report(message: Extract<ViewerMessage, { type: 'report' }>): Promise<void> {
    const { session, viewer } = this;
    if (message.report.firstFrameMs !== undefined) this.#trace.firstFrame(message.report.firstFrameMs);
    return this.#toSender(message.connection, { ...message, type: 'viewer.report', session, viewer });
  }

  /** Requests a new connection after the viewer's failed. @throws HumancastError `rate_limited`. */
  async reconnect(): Promise<void> {
    const { session, viewer } = this;
    if (!this.#reconnects.take()) throw new HumancastError('rate_limited', 'too many new connections; wait a little');
    this.#failures++;
    this.#trace.over('reconnect');
    this.#trace = new JoinTrace(this.#parts.tracer, 'reconnect', { session, viewer });
    await this.requestOffer();
    this.#trace.admitted({});
  }

  /** Ends everything queued. @throws HumancastError `rate_limited`. */
  async interrupt(): Promise<void> {
    await this.#parts.interrupt(this.session);
  }

  /** Sends a message to the session's producers. @throws HumancastError `rate_limited`. */
  async forward({ data }: Extract<ViewerMessage, { type: 'message' }>): Promise<void> {
    await this.#parts.sendToProducers(this.session, this.viewer, data);
  }

  /** Ends the trace, because this WebSocket no longer reaches the viewer. */
  release(): void {
    this.#trace.over('left');
  }

  async #toSender(connection: string, message: ToSender): Promise<void> {
    const sender = await (this.#senders.get(connection) ?? this.#remember(connection, undefined));
    // Without one there is nothing to do: the session moves, and its next host makes a new offer.
    if (sender !== undefined) await this.#parts.router.send(sender, message);
  }

  /** @param sender The media-sender of a new peer connection; `undefined`: the one that serves the viewer now. */
  #remember(connection: string, sender: string | undefined): Promise<string | undefined> {
    const found = sender === undefined ? this.#servedAt() : Promise.resolve(sender);
    found.catch(() => this.#senders.delete(connection));
    this.#senders.set(connection, found);
    const [oldest] = this.#senders.keys();
    if (this.#senders.size > CONNECTIONS_KEPT && oldest !== undefined) this.#senders.delete(oldest);
    return found;
  }

  async #servedAt(): Promise<string | undefined> {
    const { registry } = this.#parts;
    const [record, session] = await Promise.all([
      registry.viewer(this.session, this.viewer),
      registry.get(this.session),
    ]);
    return record?.sender ?? session.host;
  }
}
