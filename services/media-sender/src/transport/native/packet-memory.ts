import { MAX_PACKET_BYTES } from '../../rtp/packet-writer.js';
import type { NativeLibrary } from './library.js';

/** Maximum number of packets sent at once. More would save little, and would not fit into the processor's caches. */
export const SLOTS = 128;
/** Size of the guard after each slot, checked by {@link PacketMemory.guardsIntact}. */
const GUARD_BYTES = 64;
const GUARD = 0xa5;
const SLOT_BYTES = MAX_PACKET_BYTES + GUARD_BYTES;

/**
 * The memory in which packets are written, encrypted and passed to the kernel, in slots of equal size. It is never freed.
 */
export class PacketMemory {
  readonly bytes: Buffer;
  /** Addresses of the slots. */
  readonly addresses: readonly bigint[];

  constructor(library: NativeLibrary) {
    const { bytes, address } = library.allocate(SLOTS * SLOT_BYTES);
    this.bytes = bytes;
    this.addresses = Array.from({ length: SLOTS }, (_, slot) => address + BigInt(slot * SLOT_BYTES));
    for (let slot = 0; slot < SLOTS; slot++)
      bytes.fill(GUARD, this.offsetOf(slot) + MAX_PACKET_BYTES, this.offsetOf(slot + 1));
  }

  /** @returns the offset of a slot in {@link bytes}. */
  offsetOf(slot: number): number {
    return slot * SLOT_BYTES;
  }

  /** @returns the address of the slot at this offset of `memory`. @throws RangeError if there is none. */
  addressAt(memory: Buffer, offset: number): bigint {
    const address = memory === this.bytes ? this.addresses[offset / SLOT_BYTES] : undefined;
    if (address === undefined) throw new RangeError(`no slot of the packet memory begins at ${offset}`);
    return address;
  }

  /** @returns whether nothing was written beyond a slot. */
  guardsIntact(): boolean {
    return this.addresses.every((_, slot) =>
      this.bytes
        .subarray(this.offsetOf(slot) + MAX_PACKET_BYTES, this.offsetOf(slot + 1))
        .every((byte) => byte === GUARD),
    );
  }
}
