import { randomBytes } from 'node:crypto';
import type { RemoteInfo } from 'node:dgram';
import type { PacketWriter } from '../rtp/packet-writer.js';
import type { DatagramProblem } from './datagram-problem.js';
import type { MediaSocket, RemotePath, SocketAgent } from './media-socket.js';
import type { HostAddress, MediaSockets } from './media-sockets.js';
import { type BindingRequest, bindingRequest, bindingSuccess, type IceCredentials, isStun, readStun } from './stun.js';
import { TokenBucket } from './token-bucket.js';
import type { DestinationWriter } from './udp-sockets.js';

/** Maximum number of remembered paths; the selected path and the pending one are never forgotten for others. */
const MAX_PATHS = 16;
/** Rate of STUN messages read per path. Chromium sends 20 a second until it has nominated. */
const STUN_RATE = { perSecond: 25, burst: 50 };
/** Rate of checks read that name an agent, from all addresses together that have not passed a check yet. */
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
/** Type preference of host candidates (RFC 8445 §5.1.2.2). */
const HOST_PREFERENCE = 126;

export interface IceLiteOptions {
  readonly sockets: MediaSockets;
  /** Whether media may be sent at this instant. Default: always. */
  readonly maySend?: () => boolean;
  /** Called for each datagram of the viewer that was ignored. */
  readonly onProblem?: ((problem: DatagramProblem) => void) | undefined;
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
class Path implements RemotePath {
  readonly agent: SocketAgent;
  readonly socket: MediaSocket;
  readonly address: string;
  readonly port: number;
  readonly stun: TokenBucket;
  /** When the viewer was last proven to be there; −∞: never. */
  provenAtMs = Number.NEGATIVE_INFINITY;
  receivedBytes = 0;
  sentBytes = 0;
  /** Whether the viewer of another agent is there as far as is known, so that its answer to our own check decides. */
  isContested = false;
  /** Our own check that waits for its answer. */
  probe: { readonly id: Buffer; readonly madeAtMs: number; sentAtMs: number } | undefined;
  readonly #nowMs: () => number;

  constructor(agent: SocketAgent, socket: MediaSocket, { address, port }: RemoteInfo, nowMs: () => number) {
    this.agent = agent;
    this.socket = socket;
    this.address = address;
    this.port = port;
    this.stun = new TokenBucket(STUN_RATE, nowMs);
    this.#nowMs = nowMs;
  }

  get isProven(): boolean {
    return this.#nowMs() - this.provenAtMs < PROOF_MS;
  }
}

/**
 * An ICE-lite agent (RFC 8445 §2.5): it offers host candidates, answers the viewer's checks, and sends on the pair that the
 * viewer nominated last. It needs no candidates of the viewer and no STUN or TURN server.
 *
 * Source addresses are easily forged, and a check proves only that its author once knew the password. So once there are keys
 * ({@link requireProof}), another path is used only after something authentic has come over it: SRTCP, DTLS, or the answer
 * to a check of our own, which is sent as soon as the viewer nominates the path (RFC 8445 §7.3.1.4).
 */
export class IceLiteAgent implements SocketAgent {
  #local = newCredentials();
  /** Credentials from before an ICE restart, valid until the first check with the new ones. */
  #previous: IceCredentials | undefined;
  readonly #onProblem: (problem: DatagramProblem) => void;
  readonly #events: IceLiteEvents;
  readonly #nowMs: () => number;
  readonly #sockets: MediaSockets;
  readonly #paths = new Set<Path>();
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
    this.#sockets = options.sockets;
    this.#onProblem = options.onProblem ?? (() => {});
    this.#events = events;
    this.#writer = options.sockets.createWriter(options.maySend);
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
    for (const path of this.#paths) if (path === this.#pending || path.isContested) this.#probe(path);
  }

  /**
   * Begins a new ICE session with the viewer's new credentials (RFC 8445 §2.4). Media stays on the selected path, and checks
   * of the old session are answered, until the viewer's first check in the new one.
   * @returns our new credentials.
   */
  restart(remote: IceCredentials): IceCredentials {
    this.#forgetPrevious();
    this.#previous = this.#local;
    this.#local = newCredentials();
    if (!this.#closed) this.#sockets.register(this.#local.usernameFragment, this);
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

  /** Listens on all sockets. @returns the candidates' `candidate:` lines. @throws Error if no socket can be opened. */
  async gather(): Promise<string[]> {
    const addresses = await this.#sockets.open();
    if (!this.#closed) this.#sockets.register(this.#local.usernameFragment, this);
    return addresses.map((address, i) => hostCandidate(address, i));
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
    path.socket.send(data, path);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#writer.destination = undefined;
    this.#forgetPrevious();
    this.#sockets.unregister(this.#local.usernameFragment);
    for (const path of this.#paths) path.socket.release(path);
    this.#paths.clear();
  }

  readCheck(socket: MediaSocket, fragment: string, data: Buffer, remote: RemoteInfo): DatagramProblem | undefined {
    const known = this.#pathOf(socket, remote);
    if (!(known?.stun ?? this.#strangers).take()) return { reason: 'rate-limited' };
    const previous = this.#previous?.usernameFragment === fragment ? this.#previous : undefined;
    const credentials = previous ?? this.#local;
    const message = readStun(data, credentials);
    if (typeof message === 'string') return { reason: message };
    if (message.kind !== 'request') return { reason: 'unsupported' };
    if (!previous) this.#forgetPrevious();
    const path = known ?? this.#addPath(socket, remote);
    path.receivedBytes += data.length;
    path.isContested = !socket.claim(path, path.isProven);
    this.#answer(path, message, credentials.password);
    if (path.isContested) this.#probe(path);
    return undefined;
  }

  readDatagram(path: Path, data: Buffer): DatagramProblem | undefined {
    path.receivedBytes += data.length;
    if (isStun(data)) return this.#readAnswer(path, data);
    if (!this.#needsProof) this.#latest = path;
    if (this.#events.datagram(data) && !this.#closed) this.#prove(path);
    return undefined;
  }

  pathLost(path: Path): void {
    this.#paths.delete(path);
    if (path === this.#latest) this.#latest = undefined;
    if (path === this.#pending) this.#pending = undefined;
    if (path !== this.#selected) return;
    this.#selected = undefined;
    this.#writer.destination = undefined;
  }

  socketChanged(path: Path): void {
    if (path === this.#selected) this.#writer.destination = path.socket.destinationOf(path);
  }

  ignored(problem: DatagramProblem): void {
    this.#onProblem(problem);
  }

  #forgetPrevious(): void {
    if (this.#previous) this.#sockets.unregister(this.#previous.usernameFragment);
    this.#previous = undefined;
  }

  /** Reads an indication, or the answer to a check of our own. */
  #readAnswer(path: Path, data: Buffer): DatagramProblem | undefined {
    if (!path.stun.take()) return { reason: 'rate-limited' };
    const message = readStun(data, this.#local, this.#remote);
    if (typeof message === 'string') return { reason: message };
    if (message.kind === 'indication') {
      if (path === this.#selected) this.#events.alive(false);
      return undefined;
    }
    if (message.kind !== 'success' || !path.probe?.id.equals(message.transactionId)) {
      return { reason: 'unauthenticated' };
    }
    path.probe = undefined;
    path.isContested = !path.socket.claim(path, true);
    this.#prove(path);
    if (path === this.#selected) this.#events.alive(true);
    return undefined;
  }

  #answer(path: Path, request: BindingRequest, password: string): void {
    path.socket.send(bindingSuccess(request, path.address, path.port, password), path);
    // The controlling agent may nominate again when it finds a better pair; the latest counts. Until the first nomination,
    // any checked pair is used.
    if (request.useCandidate || !this.#selected) this.#nominate(path);
    if (path === this.#selected) this.#events.alive(false);
  }

  #nominate(path: Path): void {
    if (path === this.#selected) {
      this.#pending = undefined;
    } else if (!this.#needsProof || path.isProven) {
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
    this.#writer.destination = path.socket.destinationOf(path);
  }

  #probe(path: Path): void {
    const nowMs = this.#nowMs();
    if (!this.#remote || nowMs - (path.probe?.sentAtMs ?? Number.NEGATIVE_INFINITY) < PROBE_INTERVAL_MS) return;
    if (!path.probe || nowMs - path.probe.madeAtMs > PROBE_LIFE_MS) {
      path.probe = { id: randomBytes(12), madeAtMs: nowMs, sentAtMs: nowMs };
    }
    path.probe.sentAtMs = nowMs;
    path.socket.send(bindingRequest(path.probe.id, this.#local, this.#remote), path);
  }

  #pathOf(socket: MediaSocket, remote: RemoteInfo): Path | undefined {
    for (const path of this.#paths) {
      if (path.port === remote.port && path.address === remote.address && path.socket === socket) return path;
    }
    return undefined;
  }

  #addPath(socket: MediaSocket, remote: RemoteInfo): Path {
    if (this.#paths.size >= MAX_PATHS) this.#evictOldest();
    const path = new Path(this, socket, remote, this.#nowMs);
    this.#paths.add(path);
    return path;
  }

  #evictOldest(): void {
    for (const path of this.#paths) {
      if (path === this.#selected || path === this.#pending || path === this.#latest) continue;
      this.#paths.delete(path);
      path.socket.release(path);
      return;
    }
  }
}

function newCredentials(): IceCredentials {
  return { usernameFragment: randomBytes(6).toString('base64'), password: randomBytes(18).toString('base64') };
}

/** Writes a candidate (RFC 8839 §5.1). Earlier addresses have a higher local preference. */
function hostCandidate({ address, port }: HostAddress, index: number): string {
  const priority = HOST_PREFERENCE * 2 ** 24 + (65_535 - index) * 2 ** 8 + 255;
  return `candidate:${index + 1} 1 udp ${priority} ${address} ${port} typ host`;
}
