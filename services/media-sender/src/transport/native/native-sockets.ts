import type { Socket } from 'node:dgram';
import { getSystemErrorName } from 'node:util';
import {
  bound,
  type Destination,
  type DestinationWriter,
  DgramWriter,
  dgramSockets,
  type UdpSockets,
} from '../udp-sockets.js';
import { integer, type NativeLibrary, type NativeMemory, NULL } from './library.js';
import { type BatchOwner, type NativeSocket, type PacketBatch, type Route, UDP_SEGMENT } from './packet-batch.js';
import { AF_INET, SOCKET_ADDRESS_BYTES, SocketAddresses } from './socket-address.js';

/** `SOCK_DGRAM | SOCK_CLOEXEC`. */
const SOCKET_TYPE = 0o2000002n;
const SOL_SOCKET = 1n;
const SO_REUSEADDR = 2n;
const SOL_UDP = 17n;
const INT_BYTES = 4n;
/** Offset of a socket option's value, after the address. */
const OPTION_AT = SOCKET_ADDRESS_BYTES;

/**
 * {@link UdpSockets} that send by `sendmmsg`. The C library creates each socket, so that its descriptor is known;
 * `node:dgram` then adopts it to receive, to send what is not media, to queue packets while the send buffer is full, and to
 * close it.
 */
export class NativeSockets implements UdpSockets {
  readonly #library: NativeLibrary;
  readonly #batch: PacketBatch;
  readonly #addresses: SocketAddresses;
  readonly #memory: NativeMemory;
  readonly #sockets = new WeakMap<Socket, NativeSocket>();
  /** Whether the kernel supports `UDP_SEGMENT`. Older ones would send all segments as one packet. */
  readonly #segments: boolean;

  /** @throws Error if the kernel has no `sendmmsg` or creates no socket. */
  constructor(library: NativeLibrary, batch: PacketBatch) {
    this.#library = library;
    this.#batch = batch;
    this.#addresses = new SocketAddresses(library);
    this.#memory = library.allocate(SOCKET_ADDRESS_BYTES + Number(INT_BYTES));
    const descriptor = this.#create(AF_INET);
    this.#segments = this.#setOption(descriptor, SOL_UDP, BigInt(UDP_SEGMENT), 0);
    const canSend = library.call.sendmmsg(descriptor, this.#memory.address, NULL, NULL) === 0;
    library.call.close(descriptor);
    if (!canSend) throw new Error('the kernel has no sendmmsg');
  }

  async open(
    address: string,
    port: number,
    onSegmentationRefused: (errno: number) => void = () => {},
  ): Promise<Socket> {
    const name = this.#addresses.of(address, port);
    if (!name) return dgramSockets.open(address, port);
    const descriptor = this.#create(name.family);
    try {
      this.#memory.bytes.set(name.bytes);
      if (this.#library.call.bind(descriptor, this.#memory.address, integer(name.length)) !== 0) {
        throw this.#error(`bind ${address}:${port}`);
      }
      const socket = await bound(address, { fd: Number(descriptor), exclusive: true });
      // libuv sets it on adopted descriptors; another process could then bind the same port.
      this.#setOption(descriptor, SOL_SOCKET, SO_REUSEADDR, 0);
      const isWaiting = () => socket.getSendQueueCount() > 0;
      this.#sockets.set(socket, { descriptor, segments: this.#segments, isWaiting, onSegmentationRefused });
      return socket;
    } catch (error) {
      // Nothing fails after `node:dgram` has adopted the descriptor.
      this.#library.call.close(descriptor);
      throw error;
    }
  }

  createWriter(maySend = () => true): DestinationWriter {
    return new NativeWriter(this.#batch, maySend, ({ socket, address, port }) => {
      const native = this.#sockets.get(socket);
      const name = native && this.#addresses.of(address, port);
      return name && { socket: native, name };
    });
  }

  cork(): void {
    this.#batch.cork();
  }

  uncork(): void {
    this.#batch.uncork();
  }

  #create(family: number): bigint {
    const descriptor = this.#library.call.socket(integer(family), SOCKET_TYPE, NULL);
    if (descriptor < 0) throw this.#error('socket');
    return BigInt(descriptor);
  }

  #setOption(descriptor: bigint, level: bigint, option: bigint, value: number): boolean {
    const { bytes, address } = this.#memory;
    bytes.writeInt32LE(value, OPTION_AT);
    return this.#library.call.setsockopt(descriptor, level, option, address + BigInt(OPTION_AT), INT_BYTES) === 0;
  }

  /** @returns the error of the call that has just failed. */
  #error(call: string): NodeJS.ErrnoException {
    const errno = this.#library.errno();
    const code = errno > 0 ? getSystemErrorName(-errno) : 'unknown error';
    return Object.assign(new Error(`${call}: ${code}`), { code, errno: -errno, syscall: call });
  }
}

/**
 * Writes packets into the shared batch. Packets that exceed the send buffer wait in the socket's own queue; later packets, also
 * those of other viewers, follow them there until it is empty, which keeps their order and is fair.
 */
class NativeWriter implements DestinationWriter, BatchOwner {
  readonly maySend: () => boolean;
  readonly #batch: PacketBatch;
  readonly #routeOf: (destination: Destination) => Route | undefined;
  readonly #queue = new DgramWriter();
  #route: Route | undefined;
  #packetsRevoked = 0;

  constructor(batch: PacketBatch, maySend: () => boolean, routeOf: (destination: Destination) => Route | undefined) {
    this.#batch = batch;
    this.maySend = maySend;
    this.#routeOf = routeOf;
  }

  get memory(): Buffer {
    return this.#batch.packets.bytes;
  }

  get destination(): Destination | undefined {
    return this.#queue.destination;
  }

  set destination(destination: Destination | undefined) {
    this.#batch.sendAll();
    this.#queue.destination = destination;
    this.#route = destination && this.#routeOf(destination);
  }

  get packetsDropped(): number {
    return this.#queue.packetsDropped + this.#packetsRevoked;
  }

  get route(): Route | undefined {
    return this.#route;
  }

  begin(): number {
    return this.#batch.begin(this);
  }

  send(bytes: number): void {
    this.#batch.add(this, bytes);
  }

  flush(): void {
    this.#batch.flush();
  }

  enqueue(packet: Buffer): void {
    this.#queue.begin();
    packet.copy(this.#queue.memory);
    this.#queue.send(packet.length);
  }

  revoked(packets: number): void {
    this.#packetsRevoked += packets;
  }
}
