/** The record layer of DTLS 1.2 (RFC 6347 §4.1). */
export const RECORD_HEADER_BYTES = 13;
export const DTLS_1_2 = 0xfefd;
/** The version in the records of a first ClientHello (RFC 6347 §4.2.1). */
const DTLS_1_0 = 0xfeff;
/** Maximum body length of a protected record (RFC 5246 §6.2.3). */
const MAX_BODY_BYTES = 16_384 + 2048;
/** Datagrams of this size pass through all networks that WebRTC is used on (RFC 8445 and RFC 9000 §14 assume no less). */
const MAX_DATAGRAM_BYTES = 1200;

export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

const CONTENT_TYPES: ReadonlySet<number> = new Set(Object.values(CONTENT));

export interface DtlsRecord {
  readonly type: number;
  /** 0: unprotected. 1: protected by the keys of the first and only handshake. */
  readonly epoch: number;
  /** Record number within the epoch, 48 bits. */
  readonly sequence: number;
  /** A view into the datagram. */
  readonly body: Buffer;
}

/** @returns whether a datagram is DTLS; other protocols share the port (RFC 7983 §7). */
export function isDtls(datagram: Buffer): boolean {
  const first = datagram[0] ?? 0;
  return first >= 20 && first <= 63;
}

/**
 * Splits a datagram into records. Invalid records are skipped (RFC 6347 §4.1.2.7); nothing can be found after a record that
 * exceeds the datagram.
 *
 * @returns the well-formed records, and whether there was anything else.
 */
export function readRecords(datagram: Buffer): {
  readonly records: readonly DtlsRecord[];
  readonly malformed: boolean;
} {
  const records: DtlsRecord[] = [];
  let malformed = datagram.length === 0;
  let at = 0;
  while (at < datagram.length) {
    if (at + RECORD_HEADER_BYTES > datagram.length) return { records, malformed: true };
    const start = at + RECORD_HEADER_BYTES;
    const end = start + datagram.readUInt16BE(at + 11);
    if (end > datagram.length) return { records, malformed: true };
    const type = datagram.readUInt8(at);
    const version = datagram.readUInt16BE(at + 1);
    const epoch = datagram.readUInt16BE(at + 3);
    if (!CONTENT_TYPES.has(type) || !isVersion(version, epoch) || end === start || end - start > MAX_BODY_BYTES) {
      malformed = true;
    } else {
      records.push({ type, epoch, sequence: datagram.readUIntBE(at + 5, 6), body: datagram.subarray(start, end) });
    }
    at = end;
  }
  return { records, malformed };
}

export function writeRecord({ type, epoch, sequence, body }: DtlsRecord): Buffer {
  const record = Buffer.alloc(RECORD_HEADER_BYTES + body.length);
  record.writeUInt8(type, 0);
  record.writeUInt16BE(DTLS_1_2, 1);
  record.writeUInt16BE(epoch, 3);
  record.writeUIntBE(sequence, 5, 6);
  record.writeUInt16BE(body.length, 11);
  body.copy(record, RECORD_HEADER_BYTES);
  return record;
}

/** Packs records into as few datagrams of at most 1200 bytes as possible, in order. */
export function packRecords(records: readonly Buffer[]): Buffer[] {
  const datagrams: Buffer[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const record of records) {
    if (bytes + record.length > MAX_DATAGRAM_BYTES) {
      datagrams.push([]);
      bytes = 0;
    }
    datagrams.at(-1)?.push(record);
    bytes += record.length;
  }
  return datagrams.map((parts) => Buffer.concat(parts));
}

/** Replay window of one epoch (RFC 6347 §4.1.2.6). Records older than the last 64 count as replayed. */
export class ReplayWindow {
  #highest = -1n;
  #seen = 0n;

  has(sequence: number): boolean {
    const behind = this.#highest - BigInt(sequence);
    return behind >= 64n || (behind >= 0n && ((this.#seen >> behind) & 1n) === 1n);
  }

  /** Remembers a record. Called only for authentic records. */
  add(sequence: number): void {
    const ahead = BigInt(sequence) - this.#highest;
    if (ahead > 0n) {
      this.#seen = BigInt.asUintN(64, ahead < 64n ? (this.#seen << ahead) | 1n : 1n);
      this.#highest = BigInt(sequence);
    } else if (ahead > -64n) {
      this.#seen |= 1n << -ahead;
    }
  }
}

function isVersion(version: number, epoch: number): boolean {
  return version === DTLS_1_2 || (version === DTLS_1_0 && epoch === 0);
}
