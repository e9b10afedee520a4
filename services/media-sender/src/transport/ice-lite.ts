import { randomBytes, randomInt } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { MAX_PACKET_BYTES, type PacketWriter } from '../rtp/packet-writer.js';
import { bindingSuccess, isStun, readBindingRequest } from './stun.js';

/** More interfaces than this are not offered. */
const MAX_ADDRESSES = 8;
/** Ways to a viewer that are remembered; it proves each by a check. */
const MAX_PATHS = 16;
const BIND_ATTEMPTS = 64;
/** Packets that wait for room in the kernel's buffer; more would only arrive too late. */
const MAX_QUEUED_PACKETS = 256;
/** Host candidates' type preference (RFC 8445 §5.1.2.2). */
const HOST_PREFERENCE = 126;

export interface IceLiteOptions {
  /** To offer and listen on; empty: all of the machine's but loopback and link-local ones. */
  readonly hostAddresses: readonly string[];
  readonly portRange?: readonly [number, number] | undefined;
}

export interface IceLiteEvents {
  /** Something that is not STUN, from an address that has passed a check. Valid during the call only. */
  datagram(data: Buffer): void;
  /** A valid check: the viewer lives, and there is a way to it. */
  checked(): void;
}

interface Path {
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
}

/**
 * An ICE-lite agent (RFC 8445 §2.5): it offers host candidates, answers the viewer's checks, and sends on the pair that the
 * viewer nominated last. It needs no candidates of the viewer, makes no checks, and asks no server for anything.
 */
export class IceLiteAgent implements PacketWriter {
  readonly usernameFragment = randomBytes(6).toString('base64');
  readonly password = randomBytes(18).toString('base64');
  readonly #options: IceLiteOptions;
  readonly #events: IceLiteEvents;
  readonly #sockets: Socket[] = [];
  readonly #paths: Path[] = [];
  #selected: Path | undefined;
  #memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  /** Packets in Node's own queue, as of the last one sent. */
  #queued = 0;
  #packetsDropped = 0;
  #closed = false;

  constructor(options: IceLiteOptions, events: IceLiteEvents) {
    this.#options = options;
    this.#events = events;
  }

  /** `address:port` of the viewer, or of its relay. */
  get remoteAddress(): string | undefined {
    return this.#selected && `${this.#selected.address}:${this.#selected.port}`;
  }

  /** Packets given up because the kernel takes no more. */
  get packetsDropped(): number {
    return this.#packetsDropped;
  }

  /** Opens a socket an address. → the candidates' `candidate:` lines. @throws Error when none can be opened. */
  async gather(): Promise<string[]> {
    const addresses = this.#options.hostAddresses.length > 0 ? this.#options.hostAddresses : machineAddresses();
    const results = await Promise.allSettled(addresses.slice(0, MAX_ADDRESSES).map((address) => this.#open(address)));
    const opened = results.filter((result) => result.status === 'fulfilled').map((result) => result.value);
    if (this.#closed) this.close();
    else if (opened.length === 0) throw new Error(`no UDP socket on any of: ${addresses.join(', ')}`);
    return opened.map((socket, i) => hostCandidate(socket, i));
  }

  memory(): Buffer {
    return this.#memory;
  }

  send(bytes: number): void {
    const path = this.#selected;
    if (!path || this.#closed) return;
    if (this.#queued >= MAX_QUEUED_PACKETS && path.socket.getSendQueueCount() >= MAX_QUEUED_PACKETS) {
      this.#packetsDropped++;
      return;
    }
    path.socket.send(this.#memory, 0, bytes, path.port, path.address);
    this.#queued = path.socket.getSendQueueCount();
    // Normally the kernel has copied it by now. When its buffer was full, the memory is still needed until it has.
    if (this.#queued > 0) this.#memory = Buffer.allocUnsafeSlow(MAX_PACKET_BYTES);
  }

  /** For what is rare and already has memory of its own. */
  sendBuffer(data: Buffer): void {
    const path = this.#selected;
    if (path && !this.#closed) path.socket.send(data, path.port, path.address);
  }

  close(): void {
    this.#closed = true;
    for (const socket of this.#sockets.splice(0)) socket.close();
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
    const family = isIPv6(address) ? 6 : 4;
    const socket = createSocket({
      type: family === 6 ? 'udp6' : 'udp4',
      // Only literal addresses are ever sent to. Node's own look-up would put every packet off to the next tick.
      lookup: (literal, _options, done) => done(null, literal, family),
    });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address, port, exclusive: true }, resolve);
    }).catch((error: unknown) => {
      socket.close();
      throw error;
    });
    socket.removeAllListeners('error');
    // What fails here is one datagram; a path that stays broken is noticed by its silence.
    socket.on('error', () => {});
    socket.on('message', (data, remote) => this.#receive(socket, data, remote));
    this.#sockets.push(socket);
    return socket;
  }

  #receive(socket: Socket, data: Buffer, remote: RemoteInfo): void {
    if (this.#closed) return;
    if (isStun(data)) this.#check(socket, data, remote);
    else if (this.#pathOf(socket, remote)) this.#events.datagram(data);
  }

  #check(socket: Socket, data: Buffer, remote: RemoteInfo): void {
    const request = readBindingRequest(data, this.password);
    if (!request?.username.startsWith(`${this.usernameFragment}:`)) return;
    socket.send(bindingSuccess(request, remote.address, remote.port, this.password), remote.port, remote.address);
    const path = this.#pathOf(socket, remote) ?? this.#addPath(socket, remote);
    // The controlling agent may nominate again when it finds a better way; the latest counts. Until the first, any will do.
    if (request.useCandidate || !this.#selected) this.#selected = path;
    this.#events.checked();
  }

  #pathOf(socket: Socket, remote: RemoteInfo): Path | undefined {
    return this.#paths.find((p) => p.port === remote.port && p.address === remote.address && p.socket === socket);
  }

  #addPath(socket: Socket, { address, port }: RemoteInfo): Path {
    const path = { socket, address, port };
    this.#paths.push(path);
    if (this.#paths.length > MAX_PATHS) this.#paths.shift();
    return path;
  }
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

/** RFC 8839 §5.1. Earlier addresses have the higher local preference. */
function hostCandidate(socket: Socket, index: number): string {
  const { address, port } = socket.address();
  const priority = HOST_PREFERENCE * 2 ** 24 + (65_535 - index) * 2 ** 8 + 255;
  return `candidate:${index + 1} 1 udp ${priority} ${address} ${port} typ host`;
}
