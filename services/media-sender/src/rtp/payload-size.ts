/**
 * Maximum RTP payload that no hop fragments: the minimum MTU of IPv6, 1280 bytes (RFC 8200 §5), minus
 *
 *     40  IPv6 header (IPv4: 20)
 *      8  UDP header
 *     52  TURN Data indication with an IPv6 peer, before a channel is bound (RFC 8656 §11); a bound channel takes 4
 *     12  RTP header
 *      8  header extension for congestion control (RFC 8285 §4.2)
 *     16  authentication tag of AEAD_AES_128_GCM (AES128_CM_HMAC_SHA1_80: 10)
 *      2  original sequence number of a retransmission (RFC 4588 §4)
 */
export const MAX_PAYLOAD_BYTES = 1280 - 40 - 8 - 52 - 12 - 8 - 16 - 2;

/**
 * @returns The number of pieces of at most `maxBytes`, and the size of all but the last. Equal sizes queue more evenly than
 * full ones with a rest, and let a kernel segment a frame by itself.
 */
export function evenPieces(bytes: number, maxBytes: number): { count: number; pieceBytes: number } {
  const count = Math.ceil(bytes / maxBytes);
  return { count, pieceBytes: Math.ceil(bytes / count) };
}
