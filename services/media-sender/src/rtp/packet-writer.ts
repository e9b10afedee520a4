/** Sends finished packets to the viewer from reused memory. */
export interface PacketWriter {
  /** Memory for one packet, {@link MAX_PACKET_BYTES} long. Its content is undefined. */
  memory(): Buffer;
  /** Sends the first `bytes` of that memory. Never throws. */
  send(bytes: number): void;
}

/** Upper bound of the size of every packet that is sent. */
export const MAX_PACKET_BYTES = 2048;
