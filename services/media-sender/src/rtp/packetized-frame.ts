/**
 * An encoded frame as the payloads of its RTP packets. Nothing in it belongs to a viewer or a session, so it is made once
 * and sent by all of them.
 */
export interface PacketizedFrame {
  /** One RTP payload a packet, in order. At least one; views into shared memory, never to be written to. */
  readonly payloads: readonly Buffer[];
  readonly keyframe: boolean;
  /** All payloads together. */
  readonly bytes: number;
  /** Whether no later frame needs this one, so that it may be left out. Default: false. */
  readonly discardable?: boolean;
}
