import { MAX_PACKET_BYTES } from '../../rtp/packet-writer.js';
import { integer, type NativeLibrary, type NativeMemory } from './library.js';
import { type PacketMemory, SLOTS } from './packet-memory.js';
import { SOCKET_ADDRESS_BYTES, type SocketAddress } from './socket-address.js';

const EIO = 5;
const EINTR = 4;
const EAGAIN = 11;
const EINVAL = 22;
const EMSGSIZE = 90;
const ENOBUFS = 105;
/** The kernel's send buffer is full; libuv waits after the same errors. */
const FULL: readonly number[] = [EAGAIN, ENOBUFS, EINTR];
/** Errors if the network interface or the path does not support segmentation. */
const SEGMENTATION_REFUSED: readonly number[] = [EIO, EINVAL, EMSGSIZE];
const MSG_DONTWAIT = 0x40n;

/** A message is one IP packet until it is segmented, with a 16-bit length that includes the headers. */
const MAX_MESSAGE_BYTES = 65_000;
/** The kernel's limit of segments per message before Linux 6.9. */
const MAX_SEGMENTS = 64;
/** `struct mmsghdr`: a `msghdr` of 56 bytes, and the number of bytes sent. */
const MESSAGE_BYTES = 64;
/** Offsets of the fields of a `msghdr`, in words of 8 bytes. */
const NAME = 0;
const NAME_LENGTH = 1;
const VECTOR = 2;
const VECTOR_LENGTH = 3;
const CONTROL = 4;
const CONTROL_LENGTH = 5;
/** `struct iovec`: address and length of one packet. */
const VECTOR_BYTES = 16;
/** `struct cmsghdr` (length, level, type) and the segment size in 16 bits, padded to 8. */
const CONTROL_BYTES = 24;
const CONTROL_USED_BYTES = 18n;
const SOL_UDP = 17;
export const UDP_SEGMENT = 103;

const AT = {
  names: 0,
  vectors: SLOTS * SOCKET_ADDRESS_BYTES,
  controls: SLOTS * (SOCKET_ADDRESS_BYTES + VECTOR_BYTES),
  messages: SLOTS * (SOCKET_ADDRESS_BYTES + VECTOR_BYTES + CONTROL_BYTES),
  end: SLOTS * (SOCKET_ADDRESS_BYTES + VECTOR_BYTES + CONTROL_BYTES + MESSAGE_BYTES),
};
/** Size of the guard after that memory, checked by {@link PacketBatch.guardIntact}. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;

/** An open socket in the form that native functions take. */
export interface NativeSocket {
  readonly descriptor: bigint;
  /** Whether one message may contain several packets. */
  segments: boolean;
  /** Whether packets wait in its queue, so that later ones must follow them. */
  isWaiting(): boolean;
  readonly onSegmentationRefused: (errno: number) => void;
}

/** A destination in the form that native functions take. */
export interface Route {
  readonly socket: NativeSocket;
  readonly name: SocketAddress;
}

/** A writer of one viewer's packets into the batch. */
export interface BatchOwner {
  /** Where its packets are sent; `undefined` if they have to be enqueued. */
  readonly route: Route | undefined;
  /** Whether packets that have waited may be sent at this instant. */
  maySend(): boolean;
  /** Copies a packet and sends it later, or discards it. */
  enqueue(packet: Buffer): void;
  /** Packets have not been sent because it may not send any more. */
  revoked(packets: number): void;
}

/**
 * Packets of all viewers of a process that wait in the packet memory to be sent by one `sendmmsg` a socket. A run of a viewer's
 * packets of equal size, the last of which may be shorter, is one message that the kernel segments (`UDP_SEGMENT`).
 */
export class PacketBatch {
  readonly packets: PacketMemory;
  readonly #library: NativeLibrary;
  readonly #memory: NativeMemory;
  readonly #words: BigUint64Array;
  /** The same memory, for writes that allocate no bigint. */
  readonly #halves: Uint32Array;
  /** Addresses of the message structures, and of the vectors. */
  readonly #messages: readonly bigint[];
  readonly #vectors: readonly bigint[];
  readonly #sizes = new Uint16Array(SLOTS);
  readonly #owners: BatchOwner[] = [];
  /** The first packet of each message, and the index after its last one. */
  readonly #starts = new Uint16Array(SLOTS);
  readonly #ends = new Uint16Array(SLOTS);
  #count = 0;
  /** The first packet without a message. */
  #described = 0;
  /** The owner of the packet that is being written. */
  #writing: BatchOwner | undefined;
  #isCorked = false;

  constructor(library: NativeLibrary, packets: PacketMemory) {
    this.#library = library;
    this.packets = packets;
    this.#memory = library.allocate(AT.end + GUARD_BYTES);
    const { bytes, address } = this.#memory;
    bytes.fill(GUARD, AT.end);
    this.#words = new BigUint64Array(bytes.buffer, 0, AT.end / 8);
    this.#halves = new Uint32Array(bytes.buffer, 0, AT.end / 4);
    this.#messages = packets.addresses.map((_, i) => address + BigInt(AT.messages + i * MESSAGE_BYTES));
    this.#vectors = packets.addresses.map((_, i) => address + BigInt(AT.vectors + i * VECTOR_BYTES));
    packets.addresses.forEach((packet, i) => {
      this.#words[(AT.vectors + i * VECTOR_BYTES) / 8] = packet;
      const control = AT.controls + i * CONTROL_BYTES;
      this.#words[control / 8] = CONTROL_USED_BYTES;
      bytes.writeInt32LE(SOL_UDP, control + 8);
      bytes.writeInt32LE(UDP_SEGMENT, control + 12);
      const message = (AT.messages + i * MESSAGE_BYTES) / 8;
      this.#words[message + NAME] = address + BigInt(AT.names + i * SOCKET_ADDRESS_BYTES);
      this.#words[message + CONTROL] = address + BigInt(control);
    });
  }

  /** @returns the offset in the packet memory of the packet to be written next. */
  begin(owner: BatchOwner): number {
    if (this.#count === SLOTS) this.sendAll();
    this.#writing = owner;
    return this.packets.offsetOf(this.#count);
  }

  /** Adds the packet whose offset was returned last. @throws RangeError if its length is out of range, or another's is written. */
  add(owner: BatchOwner, bytes: number): void {
    if (owner !== this.#writing || !(bytes > 0 && bytes <= MAX_PACKET_BYTES))
      throw new RangeError(`packet length out of range: ${bytes}`);
    this.#writing = undefined;
    this.#owners[this.#count] = owner;
    this.#sizes[this.#count++] = bytes;
  }

  /** Lets packets wait for {@link uncork}. */
  cork(): void {
    this.#isCorked = true;
  }

  uncork(): void {
    this.sendAll();
    this.#isCorked = false;
  }

  /** Sends all packets unless they are to wait. */
  flush(): void {
    if (!this.#isCorked) this.sendAll();
  }

  /** Sends all packets. Those that the kernel rejects are lost. */
  sendAll(): void {
    for (let slot = 0; slot < this.#count; ) {
      const { route } = this.#owners[slot] as BatchOwner;
      const isQueued = !route || route.socket.isWaiting();
      slot = isQueued ? this.#enqueue(slot, slot + 1) : this.#send(slot, route.socket);
    }
    this.#count = 0;
  }

  /** @returns whether nothing was written beyond the memory of the message structures. */
  guardIntact(): boolean {
    return this.#memory.bytes.subarray(AT.end).every((byte) => byte === GUARD);
  }

  /**
   * Sends the packets from `from` on, as far as they go to this socket.
   * @returns the index after the last packet that is sent, enqueued or lost.
   */
  #send(from: number, socket: NativeSocket): number {
    const messages = this.#describe(from, socket);
    for (let next = 0; next < messages; ) {
      const address = this.#messages[next] as bigint;
      const sent = this.#library.call.sendmmsg(socket.descriptor, address, integer(messages - next), MSG_DONTWAIT);
      if (sent > 0) {
        next += sent;
        continue;
      }
      const errno = this.#library.errno();
      const [start, end] = [this.#starts[next] as number, this.#ends[next] as number];
      if (FULL.includes(errno)) return this.#enqueue(start, end);
      if (end - start > 1 && SEGMENTATION_REFUSED.includes(errno)) {
        socket.segments = false;
        socket.onSegmentationRefused(errno);
        return start;
      }
      next++;
    }
    return this.#described;
  }

  /** A packet that has not waited was allowed just before. */
  #maySend(owner: BatchOwner): boolean {
    return !this.#isCorked || owner.maySend();
  }

  /** Gives packets to their owner's queue. @returns `end`. */
  #enqueue(start: number, end: number): number {
    for (let slot = start; slot < end; slot++) {
      const at = this.packets.offsetOf(slot);
      const owner = this.#owners[slot] as BatchOwner;
      if (this.#maySend(owner)) owner.enqueue(this.packets.bytes.subarray(at, at + this.#sizeOf(slot)));
      else owner.revoked(1);
    }
    return end;
  }

  /**
   * Writes the message structures for the packets from `from` on, until one goes to another socket, at {@link #described}.
   * @returns the number of messages.
   */
  #describe(from: number, socket: NativeSocket): number {
    let messages = 0;
    let first = from;
    while (first < this.#count) {
      const owner = this.#owners[first] as BatchOwner;
      const { route } = owner;
      if (route?.socket !== socket) break;
      const end = socket.segments ? this.#endOfRun(first) : first + 1;
      if (this.#maySend(owner)) this.#describeOne(messages++, first, end, route.name);
      else owner.revoked(end - first);
      first = end;
    }
    this.#described = first;
    return messages;
  }

  #describeOne(index: number, first: number, end: number, name: SocketAddress): void {
    for (let i = first; i < end; i++) this.#halves[(AT.vectors + i * VECTOR_BYTES) / 4 + 2] = this.#sizeOf(i);
    const nameAt = (AT.names + index * SOCKET_ADDRESS_BYTES) / 4;
    // A loop is faster than a native copy of this length.
    for (let i = 0; i < name.words.length; i++) this.#halves[nameAt + i] = name.words[i] as number;
    const message = (AT.messages + index * MESSAGE_BYTES) / 8;
    this.#words[message + VECTOR] = this.#vectors[first] as bigint;
    this.#halves[2 * (message + NAME_LENGTH)] = name.length;
    this.#halves[2 * (message + VECTOR_LENGTH)] = end - first;
    this.#halves[2 * (message + CONTROL_LENGTH)] = end - first > 1 ? CONTROL_BYTES : 0;
    this.#halves[(AT.controls + index * CONTROL_BYTES) / 4 + 4] = this.#sizeOf(first);
    this.#starts[index] = first;
    this.#ends[index] = end;
  }

  #sizeOf(slot: number): number {
    return this.#sizes[slot] as number;
  }

  #endOfRun(first: number): number {
    const owner = this.#owners[first];
    const size = this.#sizeOf(first);
    const limit = Math.min(this.#count, first + MAX_SEGMENTS);
    let total = size;
    let end = first + 1;
    while (
      end < limit &&
      this.#owners[end] === owner &&
      this.#sizeOf(end) <= size &&
      total + size <= MAX_MESSAGE_BYTES
    ) {
      total += size;
      if (this.#sizeOf(end++) < size) break;
    }
    return end;
  }
}
