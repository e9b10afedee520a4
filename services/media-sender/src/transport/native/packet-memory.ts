import { MAX_PACKET_BYTES } from '../../rtp/packet-writer.js';
import type { NativeLibrary } from './library.js';

/** Packets that are sent at once at most: the kernel's limit of segments of one message before Linux 6.9. */
export const SLOTS = 64;
/** Each slot is followed by a guard, which {@link PacketMemory.guardsIntact} looks at. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;
const SLOT_BYTES = MAX_PACKET_BYTES + GUARD_BYTES;

/** The memory in which packets are written, encrypted and handed to the kernel. It has slots of one size, and is never freed. */
export class PacketMemory {
  readonly bytes: Buffer;
  /** Addresses of the slots' first bytes. */
  readonly addresses: readonly bigint[];

  constructor(library: NativeLibrary) {
    const { bytes, address } = library.allocate(SLOTS * SLOT_BYTES);
    this.bytes = bytes;
    this.addresses = Array.from({ length: SLOTS }, (_, slot) => address + BigInt(slot * SLOT_BYTES));
    for (let slot = 0; slot < SLOTS; slot++)
      bytes.fill(GUARD, this.offsetOf(slot) + MAX_PACKET_BYTES, this.offsetOf(slot + 1));
  }

  /** @returns where in {@link bytes} a slot begins. */
  offsetOf(slot: number): number {
    return slot * SLOT_BYTES;
  }

  /** @returns the address of the slot that begins at this offset of `memory`. @throws RangeError if none does. */
  addressAt(memory: Buffer, offset: number): bigint {
    const address = memory === this.bytes ? this.addresses[offset / SLOT_BYTES] : undefined;
    if (address === undefined) throw new RangeError(`no slot of the packet memory begins at ${offset}`);
    return address;
  }

  /** @returns whether nothing was written behind a slot. */
  guardsIntact(): boolean {
    return this.addresses.every((_, slot) =>
      this.bytes
        .subarray(this.offsetOf(slot) + MAX_PACKET_BYTES, this.offsetOf(slot + 1))
        .every((byte) => byte === GUARD),
    );
  }
}
