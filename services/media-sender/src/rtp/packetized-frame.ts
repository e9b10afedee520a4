/**
 * An encoded frame as RTP payloads. It contains nothing specific to a viewer or session, so it is packetized once and shared
 * by all connections.
 */
export interface PacketizedFrame {
  /**
   * One RTP payload per packet, in order, at least one. They are views into shared memory; only the picture id is ever
   * written.
   */
  readonly payloads: readonly Buffer[];
  readonly keyframe: boolean;
  /** Whether the payloads have a picture id, which is the viewer's own (RFC 7741 §4.2). Default: false. */
  readonly hasPictureId?: boolean;
  /** Total size of the payloads. */
  readonly bytes: number;
  /** Whether no later frame refers to this one, so that it may be dropped. Default: false. */
  readonly discardable?: boolean;
}
