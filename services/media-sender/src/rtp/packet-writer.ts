/** Sends finished packets to one viewer from reused memory. */
export interface PacketWriter {
  /** Memory for packets. {@link begin} may replace it. */
  readonly memory: Buffer;
  /** @returns Where in {@link memory} the next packet begins; {@link MAX_PACKET_BYTES} with undefined content follow. */
  begin(): number;
  /**
   * Sends a packet of this length from the position last returned by {@link begin}, at once or on {@link flush}. Never
   * throws.
   */
  send(bytes: number): void;
  /**
   * Sends all pending packets, or leaves them to be sent together with those of other viewers before control returns to the
   * event loop; called after {@link send}. Never throws.
   */
  flush(): void;
}

/** Upper bound of the size of every packet that is sent. */
export const MAX_PACKET_BYTES = 2048;
