import { randomBytes, randomInt } from 'node:crypto';
import type { RemoteInfo, Socket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import type { PacketWriter } from '../rtp/packet-writer.js';
import type { DatagramProblem } from './datagram-problem.js';
import { type BindingRequest, bindingRequest, bindingSuccess, type IceCredentials, isStun, readStun } from './stun.js';
import { TokenBucket } from './token-bucket.js';
import { type DestinationWriter, dgramSockets, type UdpSockets } from './udp-sockets.js';

/** Maximum number of interfaces that are offered. */
const MAX_ADDRESSES = 8;
/** Maximum number of remembered paths; the selected path and the pending one are never forgotten for others. */
const MAX_PATHS = 16;
/** Rate of STUN messages read per path. Chromium sends 20 a second until it has nominated. */
const STUN_RATE = { perSecond: 25, burst: 50 };
/** Rate of STUN messages read from all addresses together that have not passed a check yet. */
const STRANGER_RATE = { perSecond: 200, burst: 400 };
/** How long a path counts as proven after something authentic came over it (consent, RFC 7675 §5.1). */
const PROOF_MS = 30_000;
/** Interval between our own checks on one path. */
const PROBE_INTERVAL_MS = 100;
/** How long the retransmissions of a check of our own use its transaction id. */
const PROBE_LIFE_MS = 10_000;
/**
 * Until something authentic has come over a path, at most three times the bytes received there are sent there, as in QUIC
 * (RFC 9000 §8.1), plus a flight of the handshake and its retransmissions.
 */
const UNPROVEN_FACTOR = 3;
const UNPROVEN_BYTES = 16_384;
const BIND_ATTEMPTS = 64;
/** Type preference of host candidates (RFC 8445 §5.1.2.2). */
const HOST_PREFERENCE = 126;

export interface IceLiteOptions {
  /** Local addresses to offer and listen on. Empty: all of the machine's except loopback and link-local ones. */
  readonly hostAddresses: readonly string[];
  readonly portRange?: readonly [number, number] | undefined;
  /** Called for each datagram that was ignored. */
  readonly onProblem?: ((problem: DatagramProblem) => void) | undefined;
  /** Opens the sockets and sends media on them. Default: `node:dgram`. */
  readonly sockets?: UdpSockets | undefined;
  /** Called when a socket sends packets one by one from now on, because the network refuses segmentation. */
  readonly onSegmentationRefused?: ((errno: number) => void) | undefined;
  /** Monotonic clock. Default: `performance.now`. */
  readonly nowMs?: () => number;
}

export interface IceLiteEvents {
  /**
   * A datagram that is not STUN has come from an address that has passed a check. The memory is valid during the call only.
   * @returns whether it was authenticated, which proves that the viewer is at that address.
   */
  datagram(data: Buffer): boolean;
  /**
   * The viewer is alive: a valid check or indication came over the selected path, or the answer to a check of our own.
   * @param authentic whether only the viewer can have sent it. A check may be a replay.
   */
  alive(authentic: boolean): void;
}

/** A pair of a local socket and a remote address that has passed a check. */
interface Path {
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
  readonly stun: TokenBucket;
  /** When the viewer was last proven to be there; −∞: never. */
  provenAtMs: number;
  receivedBytes: number;
  sentBytes: number;
  /** Our own check that waits for its answer. */
  probe: { readonly id: Buffer; readonly madeAtMs: number; sentAtMs: number } | undefined;
}

/**
 * An ICE-lite agent (RFC 8445 §2.5): it offers host candidates, answers the viewer's checks, and sends on the pair that the
 * viewer nominated last. It needs no candidates of the viewer and no STUN or TURN server.
 *
 * Source addresses are easily forged, and a check proves only that its author once knew the password. So once there are keys
 * ({@link requireProof}), another path is used only after something authentic has come over it: SRTCP, DTLS, or the answer
 * to a check of our own, which is sent as soon as the viewer nominates the path (RFC 8445 §7.3.1.4).
 */
export class IceLiteAgent {
  #local = newCredentials();
  /** Credentials from before an ICE restart, valid until the first check with the new ones. */
  #previous: IceCredentials | undefined;
  readonly #options: IceLiteOptions;
  readonly #events: IceLiteEvents;
  readonly #nowMs: () => number;
  readonly #opened: Socket[] = [];
  readonly #paths: Path[] = [];
  readonly #strangers: TokenBucket;
  /** The viewer's credentials, without which no check of our own can be sent. */
  #remote: IceCredentials | undefined;
  #selected: Path | undefined;
  readonly #writer: DestinationWriter;
  /** The nominated path that is selected as soon as it is proven. */
  #pending: Path | undefined;
  /** The path on which the last datagram of the handshake came. */
  #latest: Path | undefined;
  #needsProof = false;
  #packetsDropped = 0;
  #closed = false;

  constructor(options: IceLiteOptions, events: IceLiteEvents) {
    this.#options = options;
    this.#events = events;
    this.#writer = (this.#options.sockets ?? dgramSockets).createWriter();
    this.#nowMs = options.nowMs ?? (() => performance.now());
    this.#strangers = new TokenBucket(STRANGER_RATE, this.#nowMs);
  }

  /** Our `a=ice-ufrag` and `a=ice-pwd`. */
  get local(): IceCredentials {
    return this.#local;
  }

  /** Sends media on the selected path. */
  get writer(): PacketWriter {
    return this.#writer;
  }

  /** `address:port` of the viewer or its relay. */
  get remoteAddress(): string | undefined {
    return this.#selected && `${this.#selected.address}:${this.#selected.port}`;
  }

  /** Number of packets dropped because the kernel's send buffer was full, or the path was not proven. */
  get packetsDropped(): number {
    return this.#packetsDropped + this.#writer.packetsDropped;
  }

  /** Sets the viewer's `a=ice-ufrag` and `a=ice-pwd`; from now on paths can be proven by checks of our own. */
  setRemote(credentials: IceCredentials): void {
    this.#remote = credentials;
    if (this.#pending) this.#probe(this.#pending);
  }

  /**
   * Begins a new ICE session with the viewer's new credentials (RFC 8445 §2.4). Media stays on the selected path, and checks
   * of the old session are answered, until the viewer's first check in the new one.
   * @returns our new credentials.
   */
  restart(remote: IceCredentials): IceCredentials {
    this.#previous = this.#local;
    this.#local = newCredentials();
    for (const path of this.#paths) path.probe = undefined;
    this.setRemote(remote);
    return this.#local;
  }

  /**
   * Called once there are keys: selects the path on which the handshake ended, and from now on other paths only once they
   * are proven.
   */
  requireProof(): void {
    this.#needsProof = true;
    const nominated = this.#selected;
    if (!this.#latest) return;
    this.#latest.provenAtMs = this.#nowMs();
    this.#select(this.#latest);
    if (nominated && nominated !== this.#latest) this.#await(nominated);
  }

  /**
   * Repeats our own check on the pending path, which is given up after {@link PROBE_LIFE_MS}.
   * @param selected whether the selected path is checked if none is pending.
   */
  probe(selected: boolean): void {
    if (this.#closed) return;
    if (this.#nowMs() - (this.#pending?.probe?.madeAtMs ?? this.#nowMs()) > PROBE_LIFE_MS) this.#pending = undefined;
    if (this.#pending) this.#probe(this.#pending);
    else if (selected && this.#selected) this.#probe(this.#selected);
  }

  /** Opens a socket for each address. @returns the candidates' `candidate:` lines. @throws Error if none can be opened. */
  async gather(): Promise<string[]> {
    const addresses = this.#options.hostAddresses.length > 0 ? this.#options.hostAddresses : machineAddresses();
    const results = await Promise.allSettled(addresses.slice(0, MAX_ADDRESSES).map((address) => this.#open(address)));
    const opened = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
    if (this.#closed) this.close();
    else if (opened.length === 0) throw new Error(`cannot open a UDP socket on any of: ${addresses.join(', ')}`);
    return opened.map((socket, i) => hostCandidate(socket, i));
  }

  /** Sends a datagram that is not media, from memory of its own. */
  sendBuffer(data: Buffer): void {
    const path = this.#selected;
    if (!path || this.#closed) return;
    if (path.provenAtMs === Number.NEGATIVE_INFINITY) {
      if (path.sentBytes + data.length > UNPROVEN_BYTES + UNPROVEN_FACTOR * path.receivedBytes) {
        this.#packetsDropped++;
        return;
      }
      path.sentBytes += data.length;
    }
    path.socket.send(data, path.port, path.address);
  }

  close(): void {
    this.#closed = true;
    this.#writer.destination = undefined;
    for (const socket of this.#opened.splice(0)) socket.close();
    this.#paths.length = 0;
  }

  async #open(address: string): Promise<Socket> {
    const range = this.#options.portRange;
    if (!range) return this.#bind(address, 0);
    const [low, high] = range;
    const ports = high - low + 1;
    const start = randomInt(ports);
    for (let i = 0; i < Math.min(BIND_ATTEMPTS, ports); i++) {
      const socket = await this.#bind(address, low + ((start + i) % ports)).catch(unlessInUse);
      if (socket) return socket;
    }
    throw new Error(`no free UDP port in ${low}–${high}`);
  }

  async #bind(address: string, port: number): Promise<Socket> {
    const socket = await (this.#options.sockets ?? dgramSockets).open(
      address,
      port,
      this.#options.onSegmentationRefused,
    );
    socket.on('message', (data, remote) => this.#receive(socket, data, remote));
    this.#opened.push(socket);
    return socket;
  }

  /** Reads one datagram. Never throws, whatever it contains and whatever the listeners do. */
  #receive(socket: Socket, data: Buffer, remote: RemoteInfo): void {
    if (this.#closed) return;
    try {
      const problem = this.#read(socket, data, remote);
      if (problem) this.#options.onProblem?.(problem);
    } catch (error) {
      this.#options.onProblem?.({ reason: 'failed', error });
    }
  }

  #read(socket: Socket, data: Buffer, remote: RemoteInfo): DatagramProblem | undefined {
    // A datagram from port 0 cannot be answered (RFC 8085 §5.1).
    if (remote.port === 0) return { reason: 'unknown-source' };
    const path = this.#pathOf(socket, remote);
    if (path) path.receivedBytes += data.length;
    if (isStun(data)) return this.#readStun(path, socket, data, remote);
    if (!path) return { reason: 'unknown-source' };
    if (!this.#needsProof) this.#latest = path;
    if (this.#events.datagram(data) && !this.#closed) this.#prove(path);
    return undefined;
  }

  #readStun(known: Path | undefined, socket: Socket, data: Buffer, remote: RemoteInfo): DatagramProblem | undefined {
    if (!(known?.stun ?? this.#strangers).take()) return { reason: 'rate-limited' };
    let credentials = this.#local;
    let message = readStun(data, credentials, this.#remote);
    if (message === 'unauthenticated' && this.#previous) {
      credentials = this.#previous;
      message = readStun(data, credentials, this.#remote);
    }
    if (typeof message === 'string') return { reason: message };
    if (message.kind === 'request') {
      if (credentials === this.#local) this.#previous = undefined;
      this.#answer(known ?? this.#addPath(socket, remote, data.length), message, credentials.password);
      return undefined;
    }
    if (!known) return { reason: 'unknown-source' };
    if (message.kind === 'indication') {
      if (known === this.#selected) this.#events.alive(false);
      return undefined;
    }
    if (!known.probe?.id.equals(message.transactionId)) return { reason: 'unauthenticated' };
    known.probe = undefined;
    this.#prove(known);
    if (known === this.#selected) this.#events.alive(true);
    return undefined;
  }

  #answer(path: Path, request: BindingRequest, password: string): void {
    path.socket.send(bindingSuccess(request, path.address, path.port, password), path.port, path.address);
    // The controlling agent may nominate again when it finds a better pair; the latest counts. Until the first nomination,
    // any checked pair is used.
    if (request.useCandidate || !this.#selected) this.#nominate(path);
    if (path === this.#selected) this.#events.alive(false);
  }

  #nominate(path: Path): void {
    if (path === this.#selected) {
      this.#pending = undefined;
    } else if (!this.#needsProof || this.#nowMs() - path.provenAtMs < PROOF_MS) {
      this.#pending = undefined;
      this.#select(path);
    } else {
      this.#await(path);
    }
  }

  #await(path: Path): void {
    this.#pending = path;
    this.#probe(path);
  }

  /** Marks a path as proven by something authentic, and selects it if it was nominated. */
  #prove(path: Path): void {
    path.provenAtMs = this.#nowMs();
    if (path !== this.#pending) return;
    this.#pending = undefined;
    this.#select(path);
  }

  #select(path: Path): void {
    this.#selected = path;
    this.#writer.destination = path;
  }

  #probe(path: Path): void {
    const nowMs = this.#nowMs();
    if (!this.#remote || nowMs - (path.probe?.sentAtMs ?? Number.NEGATIVE_INFINITY) < PROBE_INTERVAL_MS) return;
    if (!path.probe || nowMs - path.probe.madeAtMs > PROBE_LIFE_MS) {
      path.probe = { id: randomBytes(12), madeAtMs: nowMs, sentAtMs: nowMs };
    }
    path.probe.sentAtMs = nowMs;
    path.socket.send(bindingRequest(path.probe.id, this.#local, this.#remote), path.port, path.address);
  }

  #pathOf(socket: Socket, remote: RemoteInfo): Path | undefined {
    return this.#paths.find((p) => p.port === remote.port && p.address === remote.address && p.socket === socket);
  }

  #addPath(socket: Socket, { address, port }: RemoteInfo, receivedBytes: number): Path {
    const path: Path = {
      socket,
      address,
      port,
      stun: new TokenBucket(STUN_RATE, this.#nowMs),
      provenAtMs: Number.NEGATIVE_INFINITY,
      receivedBytes,
      sentBytes: 0,
      probe: undefined,
    };
    if (this.#paths.length >= MAX_PATHS) {
      const kept = [this.#selected, this.#pending, this.#latest];
      this.#paths.splice(
        this.#paths.findIndex((p) => !kept.includes(p)),
        1,
      );
    }
    this.#paths.push(path);
    return path;
  }
}

function newCredentials(): IceCredentials {
  return { usernameFragment: randomBytes(6).toString('base64'), password: randomBytes(18).toString('base64') };
}

function unlessInUse(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'EADDRINUSE') throw error;
}

function machineAddresses(): string[] {
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:') && !address.startsWith('169.254.'));
  return outside.length > 0 ? outside.map(({ address }) => address) : ['127.0.0.1'];
}

/** Writes a candidate (RFC 8839 §5.1). Earlier addresses have a higher local preference. */
function hostCandidate(socket: Socket, index: number): string {
  const { address, port } = socket.address();
  const priority = HOST_PREFERENCE * 2 ** 24 + (65_535 - index) * 2 ** 8 + 255;
  return `candidate:${index + 1} 1 udp ${priority} ${address} ${port} typ host`;
}
