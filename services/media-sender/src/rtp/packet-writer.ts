/** Sends finished packets to one viewer from reused memory. */
export interface PacketWriter {
  /** Memory for packets. {@link begin} may replace it. */
  readonly memory: Buffer;
  /** @returns Where in {@link memory} the next packet begins; {@link MAX_PACKET_BYTES} with undefined content follow. */
  begin(): number;
  /** Takes the packet of that length, which begins where {@link begin} said last, to be sent at once or by {@link flush}. Never throws. */
  send(bytes: number): void;
  /** Sends everything that was taken: whoever has called {@link send} calls it before returning to the event loop. Never throws. */
  flush(): void;
}

/** Upper bound of the size of every packet that is sent. */
export const MAX_PACKET_BYTES = 2048;
