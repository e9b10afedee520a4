import type { MessageData, SessionEvent, SignalMessage } from '@humancast/protocol';
import { Backoff } from './backoff.js';
import type { Display } from './display.js';
import { Emitter } from './emitter.js';
import type { Environment } from './environment.js';
import { type ClientError, clientError } from './errors.js';
import { Hush } from './hush.js';
import { MediaMeter } from './media-meter.js';
import { MediaPeer } from './media-peer.js';
import type { ClientStats } from './report.js';
import { type JoinMessage, SignalChannel } from './signal-channel.js';

/**
 * - `connecting`: no frame has been displayed yet
 * - `waiting`: every media-sender is full; {@link Session.waitingPosition} is this viewer's position in the queue
 * - `playing`: video moves
 * - `stalled`: media arrives, but video has not moved for some seconds; audio may continue
 * - `paused`: media arrives, but the video element is paused, by the page or because the browser requires a click (low-power
 * modes, data savers). {@link Session.play}, called from a click, resumes
 * - `reconnecting`: it has played, and no media arrives; the connection may recover or is replaced
 * - `ended`: the session has ended, or was closed here
 * - `failed`: it will not play; an `error` event stated why
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
  /** An event of the session: speech started, finished, … */
  event: SessionEvent;
  /** The video has its color above its matte, in frames of twice the height. Emitted before there is any. */
  alpha: 'stack';
  /** A producer's message to this page: any JSON value. */
  message: unknown;
  error: ClientError;
  /** Whether audio is silenced because the viewer has interrupted: from {@link Session.interrupt} until other audio comes. */
  hush: boolean;
  /** Emitted once a second while it plays. */
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

/**
 * Time from the loss of media until a new connection is requested, ms. Most outages end before, and the same connection
 * continues at once. Signs of a lasting loss are acted on earlier: a failed connection, a dead WebSocket, another host's
 * offer.
 */
const HEAL_MS = 2800;
/** Interval at which requests for a connection are repeated until one plays, ms; it grows up to the maximum. */
const FIRST_RECONNECT_MS = 4000;
const MAX_RECONNECT_MS = 8000;
/** Time without video after which the session fails, ms. Waiting for capacity does not count. */
const GIVE_UP_MS = 120_000;
/**
 * Time limit for the answer to a ping when packets stop, ms, so that a dead WebSocket is detected 2 s after the last packet.
 */
const SUSPICION_CHECK_MS = 1250;
/** Time limit when a page is shown again, whose network may have to wake up first. */
const SHOWN_CHECK_MS = 2000;

/**
 * One viewer of one session. Signaling and media recover independently: media plays on without the WebSocket, and a new
 * connection is made while the old one is displayed, until the new one has decoded a frame.
 */
export class Session extends Emitter<SessionEvents> {
  readonly #options: SessionOptions;
  readonly #environment: Environment;
  readonly #startedMs: number;
  readonly #reconnects: Backoff;
  readonly #forgetPage: (() => void)[];
  readonly #hush: Hush;
  #channel: SignalChannel;
  /**
   * Credentials with which this viewer resumes. The secret stays in memory, because whoever has it can replace this viewer.
   */
  #identity: { viewer: string; resume: string } | undefined;
  #configuration: RTCConfiguration = {};
  /** The highest epoch of an offer: hosts of an older one have lost the session. */
  #epoch = 0;
  /** The connection that is displayed. */
  #current: MediaPeer | undefined;
  /** The connection being established; it is displayed from its first frame on. */
  #next: MediaPeer | undefined;
  #meter: MediaMeter | undefined;
  #state: SessionState = 'connecting';
  #hasPlayed = false;
  #waitingPosition: number | undefined;
  #missingSinceMs: number;
  #cancelPending: (() => void) | undefined;
  #stats: ClientStats | undefined;
  #microphone: MediaStreamTrack | null = null;

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
    this.#hush = new Hush(environment.clock, () => {
      const { active } = this.#hush;
      if (this.#current) this.#current.audible = !active;
      this.emit('hush', active);
    });
    this.#channel = this.#newChannel();
    this.#forgetPage = [
      environment.onPage('pagehide', () => this.#leave()),
      environment.onPage('pageshow', () => this.#comeBack()),
      environment.onPage('online', () => this.#channel.retryNow(SUSPICION_CHECK_MS)),
      environment.onPage('visibilitychange', () => this.#shownAgain()),
      options.display.onPlayback(() => this.#updateState()),
    ];
  }

  /** Joins. Call it once. */
  open(): void {
    if (this.#environment.supported) this.#channel.open();
    else this.#rejected('unsupported');
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Position in the queue, from 1, while {@link state} is `waiting`. */
  get waitingPosition(): number | undefined {
    return this.#waitingPosition;
  }

  /** @returns The statistics of the last second. */
  stats(): ClientStats | undefined {
    return this.#stats;
  }

  /** Interrupts the speech, which is silent from now on. @returns Whether the request was sent. */
  interrupt(): boolean {
    const sent = this.#channel.send({ type: 'interrupt' });
    if (sent) this.#hush.begin();
    return sent;
  }

  /**
   * Sends a message to the session's producers, who get it as the event `viewer.message`.
   * @param data Any JSON value of at most 2048 bytes; a larger one is answered by the error `bad_message`.
   * @returns Whether it was sent.
   */
  send(data: MessageData): boolean {
    return this.#channel.send({ type: 'message', data });
  }

  /** Whether this viewer may speak: it joined with a `microphoneToken`. Known from the first connection on. */
  get canSpeak(): boolean {
    return (this.#current ?? this.#next)?.canSpeak ?? false;
  }

  /** Sends a track as the viewer's voice, on every connection from now on, or none. {@link Microphone} calls it. */
  setMicrophone(track: MediaStreamTrack | null): void {
    this.#microphone = track;
    for (const peer of [this.#current, this.#next]) if (peer) peer.microphone = track;
  }

  /** Turns audio on. Call it from a click or key handler. @returns Whether the browser allowed it. */
  unmute(): Promise<boolean> {
    return this.#options.display.unmute();
  }

  mute(): void {
    this.#options.display.mute();
  }

  /** Plays video that is `paused`. Call it from a click or key handler. @returns Whether the browser allowed it. */
  play(): Promise<boolean> {
    return this.#options.display.play();
  }

  /** Pauses video and audio, until {@link play}. */
  pause(): void {
    this.#options.display.pause();
  }

  /** Leaves the session. It may be called twice. */
  close(): void {
    this.#finish('ended');
  }

  #newChannel(): SignalChannel {
    return new SignalChannel(this.#options.signalUrl, this.#environment, {
      join: () => this.#joinMessage(),
      message: (message) => this.#onMessage(message),
      lost: () => this.#signalingLost(),
      rejected: (code, serverMessage) => this.#rejected(code, serverMessage),
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

  #onMessage(message: SignalMessage): void {
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
        this.#hush.onEvent(message.event);
        this.emit('event', message.event);
        if (message.event.type === 'session.ended') this.#finish('ended');
        break;
      case 'error':
        // The next join is that of another viewer.
        if (message.code === 'resume_refused') this.#identity = undefined;
        this.emit('error', clientError(message.code, message.message));
        break;
      case 'message':
        this.emit('message', message.data);
        break;
      case 'pong':
        break;
    }
  }

  #joined({ viewer, resume, iceServers, relayOnly, alpha }: Extract<SignalMessage, { type: 'joined' }>): void {
    if (alpha) this.emit('alpha', alpha);
    this.#identity = resume === undefined ? undefined : { viewer, resume };
    this.#configuration = { iceServers, iceTransportPolicy: relayOnly ? 'relay' : 'all', bundlePolicy: 'max-bundle' };
    if (this.#isPlaying) return;
    // The join has requested a connection; the request is repeated only if none comes.
    this.#cancelReconnect();
    this.#reconnectLater();
  }

  #offered({ connection, epoch, sdp, iceServers }: Extract<SignalMessage, { type: 'offer' }>): void {
    const known = connection === this.#current?.connection || connection === this.#next?.connection;
    if (epoch < this.#epoch || known) return;
    this.#epoch = epoch;
    this.#waitingPosition = undefined;
    // The relay credentials of `joined` may have expired.
    if (Array.isArray(iceServers)) this.#configuration = { ...this.#configuration, iceServers };
    this.#next?.close();
    let peer: MediaPeer;
    try {
      const options = { connection, epoch, configuration: this.#configuration, microphone: this.#microphone };
      peer = new MediaPeer(options, this.#environment, {
        answer: (answer) => this.#channel.send({ type: 'answer', connection, sdp: answer }),
        candidate: (candidate) => this.#channel.send({ type: 'candidate', connection, candidate }),
        track: () => this.#trackArrived(peer),
        firstFrame: () => this.#promote(peer),
        failed: () => this.#peerFailed(peer),
      });
    } catch {
      // The browser rejects this configuration (a malformed address), and would reject the next one too.
      this.#rejected('bad_ice_servers');
      return;
    }
    this.#next = peer;
    this.#updateState();
    void peer.accept(sdp);
  }

  /**
   * Displays the first connection at once, so that its first frame is shown without delay. A later one stays muted until its
   * first frame.
   */
  #trackArrived(peer: MediaPeer): void {
    peer.audible = !this.#current;
    if (!this.#current) this.#options.display.show(peer.tracks);
  }

  #promote(peer: MediaPeer): void {
    const old = this.#current;
    this.#current = peer;
    this.#next = undefined;
    peer.audible = !this.#hush.active;
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
        stats: (stats) => {
          this.#stats = stats;
          this.emit('stats', stats);
        },
        suspected: () => this.#channel.check(SUSPICION_CHECK_MS),
        report: (report) => this.#channel.send({ type: 'report', connection: peer.connection, report }),
        lost: (suspended) => this.#mediaLost(suspended),
        found: () => this.#mediaFound(),
        still: () => this.#updateState(),
      },
    );
    this.#hasPlayed = true;
    this.#updateState();
  }

  /**
   * Called when packets stop: the path may recover; otherwise a new connection is requested. A host that sends nothing after
   * the page was suspended has closed its side.
   */
  #mediaLost(suspended: boolean): void {
    this.#mediaMissing();
    this.#reconnectLater(suspended ? 0 : HEAL_MS);
  }

  #mediaMissing(): void {
    this.#missingSinceMs = this.#environment.clock.nowMs();
    this.emit('error', clientError('media_lost'));
    this.#updateState();
  }

  /** Called when the same connection plays again before another has replaced it. */
  #mediaFound(): void {
    if (!this.#next) this.#cancelReconnect();
    this.#reconnects.reset();
    this.#updateState();
  }

  #peerFailed(peer: MediaPeer): void {
    if (peer === this.#current) {
      if (this.#meter?.declareLost()) this.#mediaMissing();
      if (!this.#next) this.#reconnect();
      return;
    }
    peer.close();
    this.#next = undefined;
    if (!this.#isPlaying) this.#reconnectLater();
  }

  /**
   * Called when the host closes its side, as in a hand-over. The next host makes an offer on its own, or is asked for one
   * after a while.
   */
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

  #reconnectLater(delayMs?: number): void {
    if (this.#cancelPending) return;
    const { clock } = this.#environment;
    const waitMs = delayMs ?? this.#reconnects.next();
    const dueMs = clock.nowMs() + waitMs;
    this.#cancelPending = clock.after(waitMs, () => {
      this.#cancelPending = undefined;
      // Time in which the page was suspended does not count towards giving up.
      this.#missingSinceMs += clock.nowMs() - dueMs;
      this.#reconnectUnlessComing();
    });
  }

  #reconnectUnlessComing(): void {
    if (this.#isPlaying) return;
    const nowMs = this.#environment.clock.nowMs();
    const waiting = this.#waitingPosition !== undefined;
    if (waiting) this.#missingSinceMs = nowMs;
    if (nowMs - this.#missingSinceMs > GIVE_UP_MS) this.#rejected(this.#channel.joined ? 'no_media' : 'unreachable');
    else if (waiting || this.#next) this.#reconnectLater();
    else this.#reconnect();
  }

  #cancelReconnect(): void {
    this.#cancelPending?.();
    this.#cancelPending = undefined;
  }

  #signalingLost(): void {
    if (this.#isPlaying) return;
    if (this.#state === 'connecting') this.emit('error', clientError('connection_lost'));
    this.#waitingPosition = undefined;
    // Its answer may have been lost with the socket.
    this.#next?.close();
    this.#next = undefined;
    this.#updateState();
    this.#reconnectLater();
  }

  #rejected(code: string, serverMessage?: string): void {
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

  /** Frees everything of this viewer, here and at the host. */
  #leave(): void {
    this.#channel.send({ type: 'leave' });
    this.#channel.close();
    this.#hush.end();
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

  /** The page may have been frozen (a locked phone) and have a dead WebSocket, or its video may be paused. */
  #shownAgain(): void {
    this.#channel.check(SHOWN_CHECK_MS);
    if (this.#isPlaying) void this.#options.display.resume();
  }

  /** Joins as another viewer when the page is shown again from the back/forward cache, because the first one has left. */
  #comeBack(): void {
    this.#missingSinceMs = this.#environment.clock.nowMs();
    this.#updateState();
    this.#channel = this.#newChannel();
    this.#channel.open();
  }
}
