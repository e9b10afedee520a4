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
  name: 0,
  vectors: SOCKET_ADDRESS_BYTES,
  controls: SOCKET_ADDRESS_BYTES + SLOTS * VECTOR_BYTES,
  messages: SOCKET_ADDRESS_BYTES + SLOTS * (VECTOR_BYTES + CONTROL_BYTES),
  end: SOCKET_ADDRESS_BYTES + SLOTS * (VECTOR_BYTES + CONTROL_BYTES + MESSAGE_BYTES),
};
/** Size of the guard after that memory, checked by {@link PacketBatch.guardIntact}. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;

/** An open socket in the form that native functions take. */
export interface NativeSocket {
  readonly descriptor: bigint;
  /** Whether one message may contain several packets. */
  segments: boolean;
  readonly onSegmentationRefused: (errno: number) => void;
}

/** A writer of packets into the batch. */
export interface BatchOwner {
  /** Removes all of its packets from the batch. */
  flush(): void;
}

/**
 * Packets that wait in the packet memory to be sent by one `sendmmsg`. A run of packets of equal size, the last of which may
 * be shorter, is one message that the kernel segments (`UDP_SEGMENT`). All writers of a process share the batch, one at a
 * time.
 */
export class PacketBatch {
  readonly packets: PacketMemory;
  readonly #library: NativeLibrary;
  readonly #memory: NativeMemory;
  readonly #words: BigUint64Array;
  /** The same memory, for writes that allocate no bigint. */
  readonly #halves: Uint32Array;
  readonly #messages: bigint;
  readonly #vectors: readonly bigint[];
  readonly #sizes = new Uint16Array(SLOTS);
  /** The index after the last packet of each message. */
  readonly #ends = new Uint8Array(SLOTS);
  #count = 0;
  #owner: BatchOwner | undefined;

  constructor(library: NativeLibrary, packets: PacketMemory) {
    this.#library = library;
    this.packets = packets;
    this.#memory = library.allocate(AT.end + GUARD_BYTES);
    const { bytes, address } = this.#memory;
    bytes.fill(GUARD, AT.end);
    this.#words = new BigUint64Array(bytes.buffer, 0, AT.end / 8);
    this.#halves = new Uint32Array(bytes.buffer, 0, AT.end / 4);
    this.#messages = address + BigInt(AT.messages);
    this.#vectors = packets.addresses.map((_, i) => address + BigInt(AT.vectors + i * VECTOR_BYTES));
    packets.addresses.forEach((packet, i) => {
      this.#words[(AT.vectors + i * VECTOR_BYTES) / 8] = packet;
      const control = AT.controls + i * CONTROL_BYTES;
      this.#words[control / 8] = CONTROL_USED_BYTES;
      bytes.writeInt32LE(SOL_UDP, control + 8);
      bytes.writeInt32LE(UDP_SEGMENT, control + 12);
      const message = (AT.messages + i * MESSAGE_BYTES) / 8;
      this.#words[message + NAME] = address + BigInt(AT.name);
      this.#words[message + CONTROL] = address + BigInt(control);
    });
  }

  /** @returns the number of packets of this owner. */
  countOf(owner: BatchOwner): number {
    return owner === this.#owner ? this.#count : 0;
  }

  /** @returns the offset of the owner's next packet in the packet memory. */
  begin(owner: BatchOwner): number {
    if (owner !== this.#owner || this.#count === SLOTS) {
      this.#owner?.flush();
      this.#count = 0;
      this.#owner = owner;
    }
    return this.packets.offsetOf(this.#count);
  }

  /** Adds the packet whose offset was returned last. @throws RangeError if its length is out of range. */
  add(owner: BatchOwner, bytes: number): void {
    if (owner !== this.#owner || !(bytes > 0 && bytes <= MAX_PACKET_BYTES))
      throw new RangeError(`packet length out of range: ${bytes}`);
    this.#sizes[this.#count++] = bytes;
  }

  /** @returns the size of the owner's packet in a slot. */
  bytesOf(slot: number): number {
    return this.#sizes[slot] ?? 0;
  }

  /** Removes the packets if they belong to this owner. */
  clear(owner: BatchOwner): void {
    if (owner === this.#owner) this.#count = 0;
  }

  /**
   * Sends the packets. Packets that cannot be sent are lost.
   * @returns the number of packets that are sent or lost; fewer than all if the send buffer is full.
   */
  send(socket: NativeSocket, to: SocketAddress): number {
    this.#memory.bytes.set(to.bytes, AT.name);
    let done = 0;
    while (done < this.#count) {
      const messages = this.#describe(done, socket.segments, to.length);
      const sent = this.#library.call.sendmmsg(socket.descriptor, this.#messages, integer(messages), MSG_DONTWAIT);
      if (sent > 0) {
        done = this.#ends[sent - 1] as number;
        continue;
      }
      const errno = this.#library.errno();
      if (FULL.includes(errno)) return done;
      const first = this.#ends[0] as number;
      if (first - done > 1 && SEGMENTATION_REFUSED.includes(errno)) {
        socket.segments = false;
        socket.onSegmentationRefused(errno);
      } else {
        done = first;
      }
    }
    return done;
  }

  /** @returns whether nothing was written beyond the memory of the message structures. */
  guardIntact(): boolean {
    return this.#memory.bytes.subarray(AT.end).every((byte) => byte === GUARD);
  }

  /** Writes the message structures for the packets from `from` on. @returns the number of messages. */
  #describe(from: number, segments: boolean, nameLength: number): number {
    let messages = 0;
    for (let first = from; first < this.#count; messages++) {
      const end = segments ? this.#endOfRun(first) : first + 1;
      for (let i = first; i < end; i++) this.#halves[(AT.vectors + i * VECTOR_BYTES) / 4 + 2] = this.bytesOf(i);
      const message = (AT.messages + messages * MESSAGE_BYTES) / 8;
      this.#words[message + VECTOR] = this.#vectors[first] as bigint;
      this.#halves[2 * (message + NAME_LENGTH)] = nameLength;
      this.#halves[2 * (message + VECTOR_LENGTH)] = end - first;
      this.#halves[2 * (message + CONTROL_LENGTH)] = end - first > 1 ? CONTROL_BYTES : 0;
      this.#halves[(AT.controls + messages * CONTROL_BYTES) / 4 + 4] = this.bytesOf(first);
      this.#ends[messages] = end;
      first = end;
    }
    return messages;
  }

  #endOfRun(first: number): number {
    const size = this.bytesOf(first);
    let total = size;
    let end = first + 1;
    while (end < this.#count && this.bytesOf(end) <= size && total + size <= MAX_MESSAGE_BYTES) {
      total += size;
      if (this.bytesOf(end++) < size) break;
    }
    return end;
  }
}
