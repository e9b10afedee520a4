import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import type { DisplayElement } from '../src/display.js';
import type { Environment, PageEvent, PeerConnection, Socket } from '../src/environment.js';

/** A browser whose network and time the test controls. */
export class FakeBrowser {
  readonly sockets: FakeSocket[] = [];
  readonly peers: FakePeer[] = [];
  visible = true;
  /** Browsers throw on a malformed server address. */
  rejectsConfiguration = false;
  readonly #page = new Map<string, Set<() => void>>();
  #nowMs = 0;
  #timers: { atMs: number; run: () => void }[] = [];

  readonly environment: Environment = {
    supported: true,
    clock: {
      nowMs: () => this.#nowMs,
      after: (delayMs, run) => {
        const timer = { atMs: this.#nowMs + delayMs, run };
        this.#timers.push(timer);
        return () => {
          this.#timers = this.#timers.filter((other) => other !== timer);
        };
      },
    },
    random: () => 0.5,
    openSocket: (url) => {
      const socket = new FakeSocket(url);
      this.sockets.push(socket);
      return socket;
    },
    createPeer: (configuration) => {
      if (this.rejectsConfiguration) throw new DOMException('invalid hostname', 'SyntaxError');
      const peer = new FakePeer(configuration);
      this.peers.push(peer);
      return peer as unknown as PeerConnection;
    },
    createStream: () => new FakeStream() as unknown as MediaStream,
    isVisible: () => this.visible,
    onPage: (what, listener) => {
      const listeners = this.#page.get(what) ?? new Set();
      this.#page.set(what, listeners.add(listener));
      return () => listeners.delete(listener);
    },
  };

  get pendingTimers(): number {
    return this.#timers.length;
  }

  /** Advances time; media arrives on every connection that has not been stopped. */
  async pass(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await settle();
    for (;;) {
      const [next] = this.#timers.filter((timer) => timer.atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      const untilMs = Math.max(next?.atMs ?? endMs, this.#nowMs);
      for (const peer of this.peers) peer.flow(untilMs - this.#nowMs);
      this.#nowMs = untilMs;
      if (!next) return;
      this.#timers = this.#timers.filter((timer) => timer !== next);
      next.run();
      await settle();
    }
  }

  /** Lets time pass without the page: its timers run late, in the next {@link pass}. */
  suspend(ms: number): void {
    this.#nowMs += ms;
  }

  page(what: PageEvent): void {
    for (const listener of this.#page.get(what) ?? []) listener();
  }
}

/** Runs enough microtasks for a chain of promises. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

export class FakeSocket implements Socket {
  readonly url: string;
  readonly sent: ViewerMessage[] = [];
  closed = false;
  /** Whether the server behind it answers. */
  answersPings = true;
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;

  constructor(url: string) {
    this.url = url;
  }

  send(data: string): void {
    const message = JSON.parse(data) as ViewerMessage;
    this.sent.push(message);
    if (message.type === 'ping' && this.answersPings) this.receive({ type: 'pong' });
  }

  close(): void {
    this.closed = true;
  }

  receive(message: SignalMessage): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  /** Opens the socket, and joins. */
  join(overrides: Partial<Extract<SignalMessage, { type: 'joined' }>> = {}): void {
    this.onopen?.();
    this.receive({
      type: 'joined',
      session: 'ses_12345678',
      viewer: 'vw_12345678',
      resume: 'secret-of-the-viewer',
      avatar: 'demo',
      iceServers: [{ urls: ['turn:turn.example:3478'], username: 'u', credential: 'c' }],
      relayOnly: true,
      heartbeatMs: 10_000,
      ...overrides,
    });
  }

  sentOf<T extends ViewerMessage['type']>(type: T): Extract<ViewerMessage, { type: T }>[] {
    return this.sent.filter((message): message is Extract<ViewerMessage, { type: T }> => message.type === type);
  }
}

/** A peer connection that connects once it has answered; packets and frames arrive until it is stopped. */
export class FakePeer {
  readonly configuration: RTCConfiguration;
  readonly candidates: unknown[] = [];
  readonly audio = new FakeTrack('audio');
  readonly video = new FakeTrack('video');
  /** Tracks sent as the viewer's voice, in order. */
  readonly voices: unknown[] = [];
  readonly transceiver = {
    direction: 'recvonly',
    receiver: { track: this.audio },
    sender: { replaceTrack: async (track: unknown) => void this.voices.push(track) },
  };
  connectionState = 'new';
  localDescription: { sdp: string } | null = null;
  offer: string | undefined;
  flowing = false;
  /** Whether the media can be decoded. */
  decodable = true;
  closed = false;
  onicecandidate: ((event: { candidate: unknown }) => void) | null = null;
  onconnectionstatechange: (() => void) | null = null;
  ontrack: ((event: { track: FakeTrack; receiver: object }) => void) | null = null;
  #mediaMs = 0;
  #decodedMs = 0;

  constructor(configuration: RTCConfiguration) {
    this.configuration = configuration;
  }

  async setRemoteDescription({ sdp }: { sdp: string }): Promise<void> {
    if (sdp === 'nonsense') throw new TypeError('cannot be parsed');
    this.offer = sdp;
    for (const track of [this.audio, this.video]) this.ontrack?.({ track, receiver: { jitterBufferTarget: null } });
  }

  getTransceivers() {
    return [this.transceiver];
  }

  async createAnswer(): Promise<{ sdp: string }> {
    return { sdp: `answer to ${this.offer}` };
  }

  async setLocalDescription(description: { sdp: string }): Promise<void> {
    this.localDescription = description;
    this.onicecandidate?.({ candidate: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0 } });
    this.onicecandidate?.({ candidate: null });
    this.flowing = true;
  }

  async addIceCandidate(candidate: unknown): Promise<void> {
    this.candidates.push(candidate);
  }

  flow(ms: number): void {
    if (!this.flowing || this.closed) return;
    this.#mediaMs += ms;
    if (this.decodable) this.#decodedMs += ms;
  }

  fail(): void {
    this.flowing = false;
    this.connectionState = 'failed';
    this.onconnectionstatechange?.();
  }

  close(): void {
    this.closed = true;
    this.connectionState = 'closed';
  }

  async getStats(): Promise<Map<string, object>> {
    const seconds = this.#mediaMs / 1000;
    const common = { type: 'inbound-rtp', timestamp: this.#mediaMs, packetsLost: 0 };
    const audio = { packetsReceived: Math.floor(seconds * 50), jitterBufferEmittedCount: seconds * 48_000 };
    const video = { packetsReceived: Math.floor(seconds * 150), framesDecoded: Math.floor(this.#decodedMs / 33) };
    return new Map<string, object>([
      ['A', { ...common, kind: 'audio', ...audio, estimatedPlayoutTimestamp: 1_000_000 + this.#mediaMs }],
      ['V', { ...common, kind: 'video', ...video, estimatedPlayoutTimestamp: 1_000_000 + this.#mediaMs - 2 }],
      ['T', { type: 'transport', selectedCandidatePairId: 'P' }],
      ['P', { type: 'candidate-pair', currentRoundTripTime: 0.02 }],
    ]);
  }
}

export class FakeTrack {
  static #made = 0;
  readonly id = FakeTrack.#made++;
  readonly kind: 'audio' | 'video';
  enabled = true;

  constructor(kind: 'audio' | 'video') {
    this.kind = kind;
  }
}

class FakeStream {
  #tracks: FakeTrack[] = [];

  getTracks(): FakeTrack[] {
    return [...this.#tracks];
  }

  addTrack(track: FakeTrack): void {
    if (!this.#tracks.includes(track)) this.#tracks.push(track);
  }

  removeTrack(track: FakeTrack): void {
    this.#tracks = this.#tracks.filter((other) => other !== track);
  }
}

export class FakeElement implements DisplayElement {
  autoplay = false;
  muted = false;
  paused = true;
  playsInline = false;
  srcObject: MediaStream | null = null;
  /** Whether the browser allows audio before the viewer has interacted with the page. */
  allowsSound = true;
  /** Whether the browser plays video without a click; low-power modes and data savers do not. */
  allowsPlay = true;
  /** Frames presented so far; `undefined` if the browser cannot report them. */
  presented: number | undefined;
  readonly #listeners = new Map<string, Set<() => void>>();

  async play(): Promise<void> {
    if (!this.allowsPlay || (!this.muted && !this.allowsSound)) {
      this.pause();
      throw new DOMException('not allowed', 'NotAllowedError');
    }
    if (!this.paused) return;
    this.paused = false;
    this.#emit('playing');
  }

  pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.#emit('pause');
  }

  getVideoPlaybackQuality(): VideoPlaybackQuality {
    return {
      totalVideoFrames: this.presented,
      droppedVideoFrames: 0,
    } as VideoPlaybackQuality;
  }

  addEventListener(event: string, listener: unknown): void {
    const listeners = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, listeners.add(listener as () => void));
  }

  removeEventListener(event: string, listener: unknown): void {
    this.#listeners.get(event)?.delete(listener as () => void);
  }

  /** The tracks it plays, video first. */
  get shown(): FakeTrack[] {
    const tracks = (this.srcObject as unknown as FakeStream | null)?.getTracks() ?? [];
    return tracks.sort((a, b) => b.kind.localeCompare(a.kind));
  }

  #emit(event: string): void {
    for (const listener of this.#listeners.get(event) ?? []) listener();
  }
}
