import { type SignalMessage, signalMessageSchema, type ViewerMessage } from '@humancast/protocol';
import { answerTo, type OfferedTrack, readOffer } from './receiver-answer.js';
import { ReceiverLink, type RtcpReport } from './receiver-link.js';

export type TrackKind = 'audio' | 'video';

export interface ReceivedPacket {
  readonly track: TrackKind;
  /** `performance.now()` when the datagram was read from the socket. */
  readonly arrivedMs: number;
  readonly sequence: number;
  readonly timestamp: number;
  readonly marker: boolean;
  /** Decrypted payload; empty if {@link ReceiverOptions.decrypt} is off. */
  readonly payload: Buffer;
}

/** A sender report: one instant in NTP time and on the track's RTP clock (RFC 3550 §6.4.1). */
export interface ReceivedReport {
  readonly track: TrackKind;
  readonly arrivedMs: number;
  /** 32.32 fixed point, seconds since 1900. */
  readonly ntp: bigint;
  readonly rtpTimestamp: number;
}

export interface ReceiverListener {
  packet?(packet: ReceivedPacket): void;
  /** Called for sender reports; only with decryption. */
  report?(report: ReceivedReport): void;
  /** Called for each DTLS datagram sent. */
  handshakeSent?(datagram: Buffer): void;
  /** Called when the host or signaling ends the connection; not after {@link Receiver.close}. */
  closed?(reason: string): void;
}

export interface ReceiverOptions {
  readonly signalingUrl: string;
  readonly session: string;
  readonly token: string;
  readonly listener: ReceiverListener;
  /**
   * Whether packets are decrypted, default true. The RTP header is in clear (RFC 3711 §3.1), so timing can be measured
   * without decryption, at a tenth of the cost.
   */
  readonly decrypt?: boolean;
}

const CONNECT_TIMEOUT_MS = 20_000;
/** Interval of receiver reports, which also keep the connection alive. */
const REPORT_INTERVAL_MS = 1000;
/** RTCP payload types share the port with RTP's (RFC 5761 §4). */
const RTCP_FIRST = 192;
const RTCP_LAST = 223;
const RTP_HEADER_BYTES = 12;

/**
 * A headless viewer that joins a session like a browser, through the relay if required, and passes on each packet. Uses
 * werift's ICE, DTLS and SRTP; nothing is buffered, reordered or retransmitted.
 */
export class Receiver {
  readonly #listener: ReceiverListener;
  readonly #socket: WebSocket;
  readonly #decrypt: boolean;
  readonly #connected = Promise.withResolvers<void>();
  #heartbeat: NodeJS.Timeout | undefined;
  #reports: NodeJS.Timeout | undefined;
  #link: ReceiverLink | undefined;
  #joined: Extract<SignalMessage, { type: 'joined' }> | undefined;
  #tracks: readonly OfferedTrack[] = [];
  #closed = false;

  /** Resolves when media can arrive. @throws Error if that takes too long. */
  static async connect(options: ReceiverOptions): Promise<Receiver> {
    const receiver = new Receiver(options);
    const timeout = setTimeout(() => receiver.#end('connecting took too long'), CONNECT_TIMEOUT_MS);
    try {
      await receiver.#connected.promise;
    } finally {
      clearTimeout(timeout);
    }
    return receiver;
  }

  private constructor({ signalingUrl, session, token, listener, decrypt = true }: ReceiverOptions) {
    this.#listener = listener;
    this.#decrypt = decrypt;
    // A caller that awaits the connection gets the reason.
    this.#connected.promise.catch(() => {});
    this.#socket = new WebSocket(`${signalingUrl.replace(/^http/, 'ws')}/v1/signal`);
    this.#socket.onopen = () => this.#send({ type: 'join', session, token });
    this.#socket.onmessage = ({ data }) => {
      const message = signalMessageSchema.safeParse(JSON.parse(String(data)));
      // Ignores messages of newer servers.
      if (message.success) this.#onMessage(message.data);
    };
    this.#socket.onclose = ({ code }) => this.#end(`signaling closed with ${code}`);
  }

  /** Codec of the offer, e.g. `vp8/90000`. */
  encodingOf(track: TrackKind): string | undefined {
    return this.#tracks.find(({ kind }) => kind === track)?.encoding;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Sends any bytes to the sender unchanged, as a hostile viewer would. */
  sendDatagram(datagram: Buffer): void {
    this.#link?.sendDatagram(datagram);
  }

  /** Sends any bytes, at least 8, as authenticated SRTCP. */
  sendRtcp(compound: Buffer): void {
    this.#link?.sendRtcp(compound);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#heartbeat);
    clearInterval(this.#reports);
    this.#send({ type: 'leave' });
    this.#socket.close();
    void this.#link?.close();
    this.#connected.reject(new Error('closed'));
  }

  #send(message: ViewerMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #onMessage(message: SignalMessage): void {
    switch (message.type) {
      case 'joined':
        this.#joined = message;
        this.#heartbeat = setInterval(() => this.#send({ type: 'ping' }), message.heartbeatMs / 2);
        break;
      case 'offer':
        void this.#accept(message).catch((error: Error) => this.#end(error.message));
        break;
      case 'closed':
        this.#end(`the host closed: ${message.reason}`);
        break;
      case 'error':
        this.#end(`${message.code}: ${message.message}`);
        break;
    }
  }

  async #accept({
    connection,
    sdp,
    iceServers = this.#joined?.iceServers ?? [],
  }: Extract<SignalMessage, { type: 'offer' }>): Promise<void> {
    if (!this.#joined || this.#link) return;
    const offer = readOffer(sdp);
    this.#tracks = offer.tracks;
    const { relayOnly } = this.#joined;
    this.#link = await ReceiverLink.open({
      offer,
      iceServers,
      relayOnly,
      onMedia: (data, at) => this.#read(data, at),
      onHandshakeSent: (datagram) => this.#listener.handshakeSent?.(datagram),
    });
    this.#send({ type: 'answer', connection, sdp: answerTo(offer, this.#link.description) });
    await this.#link.connect();
    this.#reports = setInterval(() => this.#link?.sendReceiverReport(), REPORT_INTERVAL_MS);
    this.#connected.resolve();
  }

  #read(data: Buffer, arrivedMs: number): void {
    if (data.length < RTP_HEADER_BYTES || this.#closed) return;
    const type = data.readUInt8(1);
    if (type < RTCP_FIRST || type > RTCP_LAST) this.#readRtp(data, arrivedMs);
    else if (this.#decrypt) this.#readRtcp(this.#link?.unprotectRtcp(data) ?? [], arrivedMs);
  }

  #readRtp(data: Buffer, arrivedMs: number): void {
    const kind = this.#kindOf(data.readUInt32BE(8));
    if (!kind) return;
    this.#listener.packet?.({
      track: kind,
      arrivedMs,
      sequence: data.readUInt16BE(2),
      timestamp: data.readUInt32BE(4),
      marker: data.readUInt8(1) >> 7 === 1,
      payload: this.#decrypt ? (this.#link?.unprotectRtp(data) ?? NOTHING) : NOTHING,
    });
  }

  #readRtcp(reports: readonly RtcpReport[], arrivedMs: number): void {
    for (const { ssrc, ntp, rtpTimestamp } of reports) {
      const track = this.#kindOf(ssrc);
      if (track) this.#listener.report?.({ track, arrivedMs, ntp, rtpTimestamp });
    }
  }

  #kindOf(ssrc: number): TrackKind | undefined {
    return this.#tracks.find((track) => track.ssrc === ssrc)?.kind;
  }

  #end(reason: string): void {
    if (this.#closed) return;
    this.#connected.reject(new Error(reason));
    this.close();
    this.#listener.closed?.(reason);
  }
}

const NOTHING = Buffer.alloc(0);
