const FOLLOWED_BIT = 0x80;
const REDUNDANT_HEADER_BYTES = 4;
/** Maximum number of redundant blocks of a packet; Chromium sends one or two. */
const MAX_BLOCKS = 8;

export interface RedBlock {
  readonly data: Buffer;
  /** How much earlier than the packet it begins, RTP ticks; 0 for the primary block. */
  readonly ageTicks: number;
  /** How many packets earlier it was sent; 0 for the primary block. */
  readonly agePackets: number;
}

/**
 * Unpacks redundant audio (RFC 2198 §3).
 * @param payloadType Blocks of another payload type are left out.
 * @returns The blocks, oldest first, the primary one last; `undefined` if the payload is damaged.
 */
export function unpackRed(payload: Buffer, payloadType: number): RedBlock[] | undefined {
  const headers: { type: number; ageTicks: number; bytes: number }[] = [];
  let at = 0;
  for (;;) {
    const first = payload[at];
    if (first === undefined || headers.length > MAX_BLOCKS) return undefined;
    if (!(first & FOLLOWED_BIT)) break;
    if (at + REDUNDANT_HEADER_BYTES > payload.length) return undefined;
    const word = payload.readUIntBE(at + 1, 3);
    headers.push({ type: first & 0x7f, ageTicks: word >> 10, bytes: word & 0x3ff });
    at += REDUNDANT_HEADER_BYTES;
  }
  const primaryType = (payload[at] ?? 0) & 0x7f;
  at++;
  const blocks: RedBlock[] = [];
  for (const [i, { type, ageTicks, bytes }] of headers.entries()) {
    if (at + bytes > payload.length) return undefined;
    const data = payload.subarray(at, at + bytes);
    if (type === payloadType && bytes > 0) blocks.push({ data, ageTicks, agePackets: headers.length - i });
    at += bytes;
  }
  if (primaryType !== payloadType) return undefined;
  blocks.push({ data: payload.subarray(at), ageTicks: 0, agePackets: 0 });
  return blocks;
}
