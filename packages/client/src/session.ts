import type { SessionEvent, SignalMessage } from '@humancast/protocol';
import { Backoff } from './backoff.js';
import type { Display } from './display.js';
import { Emitter } from './emitter.js';
import type { Environment } from './environment.js';
import { type ClientError, clientError } from './errors.js';
import { MediaMeter } from './media-meter.js';
import { MediaPeer } from './media-peer.js';
import type { ClientStats } from './report.js';
import { type JoinMessage, SignalChannel } from './signal-channel.js';

/**
 * - `connecting`: on the way to the first picture
 * - `waiting`: every media-sender is full; {@link Session.waitingPosition} says how many are before us
 * - `playing`: the viewer sees a moving picture
 * - `stalled`: media arrives, but the picture has not moved for some seconds; the voice may go on
 * - `paused`: media arrives, but the video element is paused: the browser refuses to play it without a click (low-power modes, data
 *   savers), or the page paused it. {@link Session.play}, called from a click, goes on
 * - `reconnecting`: it has played, and will again
 * - `ended`: the session is over, or was closed here
 * - `failed`: it will not play; an `error` has said why
 */
export type SessionState =
  | 'connecting'
  | 'waiting'
  | 'playing'
  | 'stalled'
  | 'paused'
  | 'reconnecting'
  | 'ended'
  | 'failed';

export interface SessionEvents {
  state: SessionState;
  /** Something happened in the session: speech started, finished, … */
  event: SessionEvent;
  error: ClientError;
  /** Once a second while it plays. */
  stats: ClientStats;
}

export interface SessionOptions {
  /** `ws://…/v1/signal` */
  signalUrl: string;
  session: string;
  token: string;
  display: Display;
  environment: Environment;
}

/** A new connection is asked for this soon, then ever later, until one plays. */
const FIRST_RECONNECT_MS = 4000;
const MAX_RECONNECT_MS = 8000;
/** Without a picture for this long, it has failed. Waiting for a free place does not count. */
const GIVE_UP_MS = 120_000;

/**
 * One viewer of one session. Signalling and media are lost and found independently: media plays on while the WebSocket is
 * away, and a new connection is made behind the picture of the old one, which stays until the new one has a frame to show.
 */
export class Session extends Emitter<SessionEvents> {
  readonly #options: SessionOptions;
  readonly #environment: Environment;
  readonly #startedMs: number;
  readonly #reconnects: Backoff;
  readonly #forgetPage: (() => void)[];
  #channel: SignalChannel;
  /** Who we are to the server. The secret stays in memory: whoever has it can take this viewer's place. */
  #identity: { viewer: string; resume: string } | undefined;
  #configuration: RTCConfiguration = {};
  /** The highest epoch that made an offer: an older host has lost the session, whatever it still sends. */
  #epoch = 0;
  /** On display. */
  #current: MediaPeer | undefined;
  /** Being made; takes the display with its first frame. */
  #next: MediaPeer | undefined;
  #meter: MediaMeter | undefined;
  #state: SessionState = 'connecting';
  #hasPlayed = false;
  #waitingPosition: number | undefined;
  #missingSinceMs: number;
  #cancelPending: (() => void) | undefined;
  #stats: ClientStats | undefined;

  constructor(options: SessionOptions) {
    super();
    const { environment } = options;
    this.#options = options;
    this.#environment = environment;
    this.#startedMs = environment.clock.nowMs();
    this.#missingSinceMs = this.#startedMs;
    this.#reconnects = new Backoff({
      firstMs: FIRST_RECONNECT_MS,
      maxMs: MAX_RECONNECT_MS,
      random: environment.random,
    });
    this.#channel = this.#newChannel();
    this.#forgetPage = [
      environment.onPage('hide', () => this.#leave()),
      environment.onPage('restore', () => this.#comeBack()),
      environment.onPage('online', () => this.#channel.retryNow()),
      environment.onPage('visible', () => this.#shownAgain()),
      options.display.onPlayback(() => this.#updateState()),
    ];
  }

  /** Once. */
  open(): void {
    if (this.#environment.supported) this.#channel.open();
    else this.#refused('unsupported');
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Place in the line, from 1, while {@link state} is `waiting`. */
  get waitingPosition(): number | undefined {
    return this.#waitingPosition;
  }

  /** The last second's figures. */
  stats(): ClientStats | undefined {
    return this.#stats;
  }

  /** Stops what is being said. → whether the request went out. */
  interrupt(): boolean {
    return this.#channel.send({ type: 'interrupt' });
  }

  /** Turns the sound on. Call it from a click or key handler. → whether the browser allowed it. */
  unmute(): Promise<boolean> {
    return this.#options.display.unmute();
  }

  mute(): void {
    this.#options.display.mute();
  }

  /** Plays a picture that is `paused`. Call it from a click or key handler. @returns whether the browser allowed it. */
  play(): Promise<boolean> {
    return this.#options.display.play();
  }

  /** Leaves the session. May be called twice. */
  close(): void {
    this.#finish('ended');
  }

  #newChannel(): SignalChannel {
    return new SignalChannel(this.#options.signalUrl, this.#environment, {
      join: () => this.#joinMessage(),
      message: (message) => this.#hear(message),
      lost: () => this.#signallingLost(),
      refused: (code, serverMessage) => this.#refused(code, serverMessage),
    });
  }

  #joinMessage(): JoinMessage {
    const { session, token } = this.#options;
    const playing = this.#isPlaying ? this.#current : undefined;
    return {
      type: 'join',
      session,
      token,
      ...this.#identity,
      ...(playing && { connection: playing.connection }),
    };
  }

  #hear(message: SignalMessage): void {
    switch (message.type) {
      case 'joined':
        this.#joined(message);
        break;
      case 'waiting':
        this.#waitingPosition = message.position;
        this.#updateState();
        break;
      case 'offer':
        this.#offered(message);
        break;
      case 'candidate':
        for (const peer of [this.#current, this.#next]) {
          if (peer?.connection === message.connection) peer.addCandidate(message.candidate);
        }
        break;
      case 'closed':
        this.#hostClosed(message.connection);
        break;
      case 'event':
        this.emit('event', message.event);
        if (message.event.type === 'session.ended') this.#finish('ended');
        break;
      case 'error':
        // Joins anew, as another viewer.
        if (message.code === 'resume_refused') this.#identity = undefined;
        this.emit('error', clientError(message.code, message.message));
        break;
      case 'pong':
        break;
    }
  }

  #joined({ viewer, resume, iceServers, relayOnly }: Extract<SignalMessage, { type: 'joined' }>): void {
    this.#identity = resume === undefined ? undefined : { viewer, resume };
    this.#configuration = { iceServers, iceTransportPolicy: relayOnly ? 'relay' : 'all', bundlePolicy: 'max-bundle' };
    // The join has asked for a connection, unless one plays; it is asked for again only if none comes.
    if (!this.#isPlaying) this.#reconnectLater();
  }

  #offered({ connection, epoch, sdp, iceServers }: Extract<SignalMessage, { type: 'offer' }>): void {
    const known = connection === this.#current?.connection || connection === this.#next?.connection;
    if (epoch < this.#epoch || known) return;
    this.#epoch = epoch;
    this.#waitingPosition = undefined;
    // The credentials of `joined` expire; whoever has watched for long gets its next connection with these.
    if (Array.isArray(iceServers)) this.#configuration = { ...this.#configuration, iceServers };
    this.#next?.close();
    let peer: MediaPeer;
    try {
      peer = new MediaPeer({ connection, epoch, configuration: this.#configuration }, this.#environment, {
        answer: (answer) => this.#channel.send({ type: 'answer', connection, sdp: answer }),
        candidate: (candidate) => this.#channel.send({ type: 'candidate', connection, candidate }),
        track: () => this.#trackArrived(peer),
        firstFrame: () => this.#promote(peer),
        failed: () => this.#peerFailed(peer),
      });
    } catch {
      // The browser takes no such configuration (an address in the wrong form): it would take none of the next ones either.
      this.#refused('bad_ice_servers');
      return;
    }
    this.#next = peer;
    this.#updateState();
    void peer.accept(sdp);
  }

  /** Behind a picture it stays silent; with none, it gets the display at once, so that its first frame shows without delay. */
  #trackArrived(peer: MediaPeer): void {
    peer.audible = !this.#current;
    if (!this.#current) this.#options.display.show(peer.tracks);
  }

  #promote(peer: MediaPeer): void {
    const old = this.#current;
    this.#current = peer;
    this.#next = undefined;
    peer.audible = true;
    this.#options.display.show(peer.tracks);
    old?.close();
    this.#meter?.close();
    this.#cancelReconnect();
    this.#reconnects.reset();
    const firstFrameMs = this.#hasPlayed ? undefined : this.#environment.clock.nowMs() - this.#startedMs;
    const sync = this.#meter?.sync;
    this.#meter = new MediaMeter(
      peer,
      this.#options.display,
      this.#environment,
      { firstFrameMs, sync },
      {
        stats: (stats) => this.#measured(stats),
        report: (report) => this.#channel.send({ type: 'report', connection: peer.connection, report }),
        lost: () => this.#mediaLost(),
        found: () => this.#mediaFound(),
        still: () => this.#updateState(),
      },
    );
    this.#hasPlayed = true;
    this.#updateState();
  }

  #measured(stats: ClientStats): void {
    this.#stats = stats;
    this.emit('stats', stats);
  }

  #mediaLost(): void {
    this.#mediaMissing();
    if (!this.#next) this.#reconnect();
  }

  #mediaMissing(): void {
    this.#missingSinceMs = this.#environment.clock.nowMs();
    this.emit('error', clientError('media_lost'));
    this.#updateState();
  }

  /** The same connection plays again, before another took its place. */
  #mediaFound(): void {
    if (!this.#next) this.#cancelReconnect();
    this.#reconnects.reset();
    this.#updateState();
  }

  #peerFailed(peer: MediaPeer): void {
    if (peer === this.#current) {
      if (this.#meter?.declareLost()) this.#mediaLost();
      return;
    }
    peer.close();
    this.#next = undefined;
    if (!this.#isPlaying) this.#reconnectLater();
  }

  /** A host that hands over closes its side; the next one offers by itself, or is asked to after a while. */
  #hostClosed(connection: string): void {
    if (connection === this.#next?.connection) this.#peerFailed(this.#next);
    else if (connection === this.#current?.connection && this.#meter?.declareLost()) {
      this.#mediaMissing();
      this.#reconnectLater();
    }
  }

  #reconnect(): void {
    const peer = this.#current;
    this.#channel.send({ type: 'reconnect', ...(peer && { connection: peer.connection }) });
    this.#cancelReconnect();
    this.#reconnectLater();
  }

  #reconnectLater(): void {
    this.#cancelPending ??= this.#environment.clock.after(this.#reconnects.next(), () => {
      this.#cancelPending = undefined;
      this.#reconnectUnlessComing();
    });
  }

  #reconnectUnlessComing(): void {
    if (this.#isPlaying) return;
    const nowMs = this.#environment.clock.nowMs();
    const waiting = this.#waitingPosition !== undefined;
    if (waiting) this.#missingSinceMs = nowMs;
    if (nowMs - this.#missingSinceMs > GIVE_UP_MS) this.#refused(this.#channel.joined ? 'no_media' : 'unreachable');
    else if (waiting || this.#next) this.#reconnectLater();
    else this.#reconnect();
  }

  #cancelReconnect(): void {
    this.#cancelPending?.();
    this.#cancelPending = undefined;
  }

  #signallingLost(): void {
    if (this.#isPlaying) return;
    if (this.#state === 'connecting') this.emit('error', clientError('connection_lost'));
    this.#waitingPosition = undefined;
    // Its answer or candidates may have been lost with the socket.
    this.#next?.close();
    this.#next = undefined;
    this.#updateState();
    this.#reconnectLater();
  }

  #refused(code: string, serverMessage?: string): void {
    if (this.#isOver) return;
    this.emit('error', clientError(code, serverMessage));
    this.#finish(code === 'session_ended' ? 'ended' : 'failed');
  }

  get #isPlaying(): boolean {
    return this.#meter?.flowing ?? false;
  }

  get #presentation(): 'playing' | 'stalled' | 'paused' {
    if (this.#options.display.paused) return 'paused';
    return this.#meter?.still ? 'stalled' : 'playing';
  }

  get #isOver(): boolean {
    return this.#state === 'ended' || this.#state === 'failed';
  }

  #updateState(): void {
    if (this.#isPlaying) this.#setState(this.#presentation);
    else if (this.#waitingPosition !== undefined) this.#setState('waiting');
    else this.#setState(this.#hasPlayed ? 'reconnecting' : 'connecting');
  }

  #setState(state: SessionState): void {
    if (this.#isOver || (state === this.#state && state !== 'waiting')) return;
    this.#state = state;
    this.emit('state', state);
  }

  #finish(state: 'ended' | 'failed'): void {
    if (this.#isOver) return;
    for (const forget of this.#forgetPage) forget();
    this.#leave();
    this.#options.display.clear();
    this.#setState(state);
  }

  /** Everything of this viewer is freed, here and at the host. */
  #leave(): void {
    this.#channel.send({ type: 'leave' });
    this.#channel.close();
    this.#cancelReconnect();
    this.#meter?.close();
    this.#meter = undefined;
    this.#current?.close();
    this.#current = undefined;
    this.#next?.close();
    this.#next = undefined;
    this.#identity = undefined;
    this.#waitingPosition = undefined;
  }

  /** A page that was frozen meanwhile (a locked phone) lost its socket without noticing; one that was hidden may be paused. */
  #shownAgain(): void {
    this.#channel.check();
    if (this.#isPlaying && this.#options.display.paused) void this.#options.display.play();
  }

  /** Shown again from the back/forward cache: as another viewer, since the first has left. */
  #comeBack(): void {
    this.#missingSinceMs = this.#environment.clock.nowMs();
    this.#updateState();
    this.#channel = this.#newChannel();
    this.#channel.open();
  }
}
