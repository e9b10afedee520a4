import { type SessionEvent, type SignalMessage, signalMessageSchema, type ViewerMessage } from '@humancast/protocol';
import { MediaLink } from './media-link.js';

/** Same limits as the browser client: silence after which media counts as lost, and back-off between new connections. */
const SILENCE_MS = 1200;
const CHECK_MS = 100;
const [FIRST_RECONNECT_MS, MAX_RECONNECT_MS] = [4000, 8000];
const [FIRST_RETRY_MS, MAX_RETRY_MS] = [300, 8000];
const CONNECT_TIMEOUT_MS = 10_000;

export interface ShownFrame {
  readonly arrivedMs: number;
  readonly epoch: number;
  readonly connection: string;
  readonly digest: string | undefined;
  /** Video packets lost on this connection so far. */
  readonly lost: number;
}

export interface LightViewerOptions {
  /** Signaling processes, tried in turn after a loss. */
  readonly signalingUrls: readonly string[];
  readonly session: string;
  readonly token: string;
  /** Whether to decrypt frames and compute digests, default false: the RTP header is in clear (RFC 3711 §3.1). */
  readonly digests?: boolean;
  readonly onFrame?: (frame: ShownFrame) => void;
  readonly onEvent?: (event: SessionEvent) => void;
  /** Called for each connection when it starts. */
  readonly onLink?: (link: MediaLink) => void;
}

/** Statistics of a viewer. */
export interface ViewerRecord {
  frames: number;
  /** The longest time between two shown frames, ms. */
  longestGapMs: number;
  gaps: { ms: number; endedMs: number }[];
  firstFrameMs: number | undefined;
  /** Connections that have shown a frame, in order. */
  readonly links: MediaLink[];
  reconnects: number;
  socketLosses: number;
  waitingPosition: number | undefined;
  endReason: string | undefined;
}

const NOTABLE_GAP_MS = 200;

/**
 * A headless viewer, light enough for many in one process. It acts like the browser client: joins, reconnects after a loss,
 * answers a new host's offer while the old one plays, and switches at the new host's first frame.
 */
export class LightViewer {
  readonly record: ViewerRecord = {
    frames: 0,
    longestGapMs: 0,
    gaps: [],
    firstFrameMs: undefined,
    links: [],
    reconnects: 0,
    socketLosses: 0,
    waitingPosition: undefined,
    endReason: undefined,
  };
  /** Time for which replaced connections are still read, ms: a host without its lease must not send. */
  ghostMs = 0;
  readonly #options: LightViewerOptions;
  readonly #openedMs = performance.now();
  readonly #watch: NodeJS.Timeout;
  #url = 0;
  #socket: WebSocket | undefined;
  #joined: Extract<SignalMessage, { type: 'joined' }> | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #retryMs = FIRST_RETRY_MS;
  #retryTimer: NodeJS.Timeout | undefined;
  #reconnectMs = FIRST_RECONNECT_MS;
  #askedAtMs = 0;
  #newestEpoch = 0;
  /** The shown connection, and the one being established. */
  #current: MediaLink | undefined;
  #next: MediaLink | undefined;
  #currentClosed = false;
  #lastFrameMs: number | undefined;
  #closed = false;
  #isReading = true;

  constructor(options: LightViewerOptions) {
    this.#options = options;
    this.#watch = setInterval(() => this.#checkMedia(), CHECK_MS);
    this.#connect();
  }

  get playing(): boolean {
    const lastMs = this.#current?.lastPacketMs ?? Number.NEGATIVE_INFINITY;
    return !this.#currentClosed && performance.now() - lastMs < SILENCE_MS;
  }

  get ended(): boolean {
    return this.record.endReason !== undefined;
  }

  get epoch(): number {
    return this.#current?.epoch ?? 0;
  }

  /** Stops or starts reading of media; without it, nothing counts as lost. See {@link MediaLink.setReading}. */
  setReading(reading: boolean): void {
    this.#isReading = reading;
    this.#current?.setReading(reading);
  }

  /** Leaves the session, or disappears silently. */
  close({ silently = false } = {}): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#watch);
    clearInterval(this.#heartbeat);
    clearTimeout(this.#retryTimer);
    if (!silently) this.#send({ type: 'leave' });
    this.#socket?.close();
    for (const link of [...this.record.links, this.#next]) link?.close();
  }

  #connect(): void {
    if (this.#closed) return;
    const urls = this.#options.signalingUrls;
    const base = urls[this.#url++ % urls.length] ?? '';
    const socket = new WebSocket(`${base.replace(/^http/, 'ws')}/v1/signal`);
    this.#socket = socket;
    socket.onopen = () => this.#join();
    socket.onmessage = ({ data }) => {
      const message = signalMessageSchema.safeParse(JSON.parse(String(data)));
      // Ignores messages of newer servers.
      if (message.success) this.#onMessage(message.data);
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#socketLost();
    };
    socket.onerror = () => {};
  }

  #join(): void {
    const { session, token } = this.#options;
    const place = this.#joined && { viewer: this.#joined.viewer, resume: this.#joined.resume };
    const connection = this.playing ? this.#current?.connection : undefined;
    this.#sendNow({ type: 'join', session, token, ...place, ...(connection && { connection }) });
  }

  #socketLost(): void {
    clearInterval(this.#heartbeat);
    this.#socket = undefined;
    if (this.#closed || this.ended) return;
    this.record.socketLosses++;
    if (!this.playing) this.#dropNext();
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs * (0.5 + 0.5 * Math.random()));
    this.#retryMs = Math.min(2 * this.#retryMs, MAX_RETRY_MS);
  }

  #send(message: ViewerMessage): void {
    if (this.#joined) this.#sendNow(message);
  }

  #sendNow(message: ViewerMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #onMessage(message: SignalMessage): void {
    switch (message.type) {
      case 'joined':
        this.#joined = message;
        this.#retryMs = FIRST_RETRY_MS;
        this.#askedAtMs = performance.now();
        clearInterval(this.#heartbeat);
        this.#heartbeat = setInterval(() => this.#send({ type: 'ping' }), message.heartbeatMs / 2);
        break;
      case 'offer':
        void this.#offered(message);
        break;
      case 'closed':
        if (message.connection === this.#current?.connection) this.#currentClosed = true;
        else if (message.connection === this.#next?.connection) this.#dropNext();
        break;
      case 'waiting':
        this.record.waitingPosition = message.position;
        break;
      case 'event':
        this.#options.onEvent?.(message.event);
        if (message.event.type === 'session.ended') this.record.endReason = message.event.reason;
        break;
      case 'error':
        if (['session_ended', 'session_not_found', 'replaced', 'viewer_limit', 'token_expired'].includes(message.code))
          this.record.endReason = message.code;
        break;
    }
  }

  async #offered(offer: Extract<SignalMessage, { type: 'offer' }>): Promise<void> {
    const { connection, epoch, sdp } = offer;
    if (!this.#joined || this.#closed || epoch < this.#newestEpoch) return;
    this.#newestEpoch = epoch;
    this.record.waitingPosition = undefined;
    this.#dropNext();
    const { relayOnly } = this.#joined;
    const iceServers = offer.iceServers ?? this.#joined.iceServers;
    const link = new MediaLink({
      connection,
      epoch,
      sdp,
      iceServers,
      relayOnly,
      digests: this.#options.digests ?? false,
      onFrame: (from, arrivedMs, digest) => this.#frame(from, arrivedMs, digest),
    });
    this.#next = link;
    this.#options.onLink?.(link);
    try {
      await link.connect((answer) => this.#send({ type: 'answer', connection, sdp: answer }));
    } catch {
      if (this.#next === link) this.#dropNext();
    }
  }

  #frame(link: MediaLink, arrivedMs: number, digest: string | undefined): void {
    if (link === this.#next) this.#switchTo(link);
    if (link !== this.#current) return;
    const { record } = this;
    record.firstFrameMs ??= arrivedMs - this.#openedMs;
    if (this.#lastFrameMs !== undefined) this.#gap(arrivedMs - this.#lastFrameMs, arrivedMs);
    this.#lastFrameMs = arrivedMs;
    record.frames++;
    const { lost } = link.tracks.video.faults;
    this.#options.onFrame?.({ arrivedMs, epoch: link.epoch, connection: link.connection, digest, lost });
  }

  #gap(ms: number, endedMs: number): void {
    this.record.longestGapMs = Math.max(this.record.longestGapMs, ms);
    if (ms > NOTABLE_GAP_MS) this.record.gaps.push({ ms, endedMs });
  }

  #switchTo(link: MediaLink): void {
    const old = this.#current;
    this.#current = link;
    this.#currentClosed = false;
    this.#next = undefined;
    this.#reconnectMs = FIRST_RECONNECT_MS;
    this.record.links.push(link);
    if (!old) return;
    if (this.ghostMs === 0) old.close();
    else setTimeout(() => old.close(), this.ghostMs).unref();
  }

  #dropNext(): void {
    this.#next?.close();
    this.#next = undefined;
  }

  /** Requests a new connection when media stops or does not start. */
  #checkMedia(): void {
    const nowMs = performance.now();
    if (this.#next && nowMs - this.#next.openedMs > CONNECT_TIMEOUT_MS) this.#dropNext();
    if (!this.#joined || this.playing || this.#next || this.ended || !this.#isReading) return;
    if (this.record.waitingPosition !== undefined) return;
    const lost = this.#current?.lastPacketMs ?? 0;
    const waitedMs = nowMs - Math.max(this.#askedAtMs, lost + SILENCE_MS - FIRST_RECONNECT_MS);
    if (waitedMs < this.#reconnectMs) return;
    this.#askedAtMs = nowMs;
    this.#reconnectMs = Math.min(2 * this.#reconnectMs, MAX_RECONNECT_MS);
    this.record.reconnects++;
    this.#send({ type: 'reconnect', ...(this.#current && { connection: this.#current.connection }) });
  }
}
