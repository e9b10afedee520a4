/** Where finished packets go: to the viewer, by way of memory that is used again and again. */
export interface PacketWriter {
  /** Memory for one packet, {@link MAX_PACKET_BYTES} long; what is in it now is of no interest. */
  memory(): Buffer;
  /** Sends the first `bytes` of that memory. Never throws. */
  send(bytes: number): void;
}

/** Anything we send, with room to spare. */
export const MAX_PACKET_BYTES = 2048;
