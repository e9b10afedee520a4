import { createHash, X509Certificate } from 'node:crypto';
import {
  CipherContext,
  DtlsServer,
  HashAlgorithm,
  NamedCurveAlgorithm,
  ProtectionProfileAeadAes128Gcm,
  ProtectionProfileAes128CmHmacSha1_80,
  SignatureAlgorithm,
} from 'werift';
import { MASTER_KEY_BYTES, masterSaltBytes, type SrtpKeys, type SrtpProfile } from '../rtp/srtp.js';
import { useNativeX25519 } from './native-x25519.js';

useNativeX25519();

export type DtlsCertificate = Awaited<ReturnType<typeof CipherContext.createSelfSignedCertificateWithKey>>;

/** A hash of a certificate, as SDP carries it (RFC 8122 §5). */
export interface Fingerprint {
  readonly algorithm: string;
  /** Upper-case hexadecimal with colons. */
  readonly value: string;
}

const FINGERPRINT_HASHES: Readonly<Record<string, string>> = {
  'sha-256': 'sha256',
  'sha-384': 'sha384',
  'sha-512': 'sha512',
};

let certificate: Promise<DtlsCertificate> | undefined;

/** The process's certificate: made once, self-signed, known to viewers by the fingerprint in each description. */
export function processCertificate(): Promise<DtlsCertificate> {
  certificate ??= CipherContext.createSelfSignedCertificateWithKey(
    { signature: SignatureAlgorithm.ecdsa_3, hash: HashAlgorithm.sha256_4 },
    NamedCurveAlgorithm.secp256r1_23,
  );
  return certificate;
}

export function fingerprintOf({ certPem }: DtlsCertificate): Fingerprint {
  return { algorithm: 'sha-256', value: new X509Certificate(certPem).fingerprint256 };
}

const CONTENT_ALERT = 21;
const RECORD_HEADER_BYTES = 13;
const DTLS_1_2 = 0xfefd;
/** Level warning, close_notify (RFC 5246 §7.2.1). */
const CLOSE_NOTIFY = Buffer.from([1, 0]);
/** Beyond every flight of the handshake: nothing waits for an answer any more. */
const NO_MORE_FLIGHTS = 99;

const PROFILES: ReadonlyMap<number | undefined, SrtpProfile> = new Map([
  [ProtectionProfileAeadAes128Gcm, 'AEAD_AES_128_GCM'],
  [ProtectionProfileAes128CmHmacSha1_80, 'AES128_CM_HMAC_SHA1_80'],
]);

export interface DtlsEvents {
  /** The handshake is done. Whose certificate it was is for {@link DtlsEndpoint.isPeer} to say. */
  established(): void;
  failed(error: Error): void;
  /** The viewer's close_notify. */
  closed(): void;
}

/** The server's end of DTLS 1.2, by werift: it yields the SRTP keys (RFC 5764) and carries nothing else. */
export class DtlsEndpoint {
  readonly #server: DtlsServer;
  readonly #send: (datagram: Buffer) => void;
  #established = false;
  #closed = false;

  constructor(own: DtlsCertificate, send: (datagram: Buffer) => void, events: DtlsEvents) {
    this.#send = send;
    this.#server = new DtlsServer({
      cert: own.certPem,
      key: own.keyPem,
      signatureHash: own.signatureHash,
      // In order of preference.
      srtpProfiles: [ProtectionProfileAeadAes128Gcm, ProtectionProfileAes128CmHmacSha1_80],
      extendedMasterSecret: true,
      certificateRequest: true,
      transport: {
        type: 'ice',
        address: { address: '', family: '', port: 0 },
        closed: false,
        onData: () => {},
        send: async (datagram) => {
          if (!this.#closed) send(datagram);
        },
        close: async () => {},
      },
    });
    this.#server.onConnect.once(() => {
      this.#established = true;
      if (!this.#closed) events.established();
    });
    this.#server.onError.subscribe((error) => {
      if (!this.#established && !this.#closed) events.failed(error);
    });
    this.#server.onClose.subscribe(() => {
      if (!this.#closed) events.closed();
    });
  }

  receive(datagram: Buffer): void {
    const records = this.#established ? encryptedRecords(datagram) : datagram;
    if (records.length > 0) this.#server.transport.socket.onData(records, ['', 0]);
  }

  /** Whether the other end has a certificate with one of these fingerprints. Only after `established`. */
  isPeer(fingerprints: readonly Fingerprint[]): boolean {
    const peer = this.#server.remoteCertificate;
    if (!peer) return false;
    return fingerprints.some(({ algorithm, value }) => {
      const hash = FINGERPRINT_HASHES[algorithm.toLowerCase()];
      if (hash === undefined) return false;
      return createHash(hash).update(peer).digest('hex') === value.replaceAll(':', '').toLowerCase();
    });
  }

  /** Only after `established`; `undefined` when no SRTP profile was agreed on. */
  srtpKeys(): { local: SrtpKeys; remote: SrtpKeys } | undefined {
    const profile = PROFILES.get(this.#server.srtp.srtpProfile);
    if (!profile) return undefined;
    const keys = this.#server.extractSessionKeys(MASTER_KEY_BYTES, masterSaltBytes(profile));
    return {
      local: { profile, masterKey: keys.localKey, masterSalt: keys.localSalt },
      remote: { profile, masterKey: keys.remoteKey, masterSalt: keys.remoteSalt },
    };
  }

  /** Says goodbye, so that the viewer knows at once. */
  close(): void {
    if (this.#closed) return;
    if (this.#established) this.#send(this.#closeNotify());
    this.#closed = true;
    // A handshake in progress would go on repeating itself, into the void, for half a minute.
    this.#server.dtls.flight = NO_MORE_FLIGHTS;
  }

  #closeNotify(): Buffer {
    const { dtls, cipher } = this.#server;
    const { epoch } = dtls;
    const sequenceNumber = ++dtls.recordSequenceNumber;
    const header = { type: CONTENT_ALERT, version: DTLS_1_2, epoch, sequenceNumber };
    const fragment = cipher.cipher.encrypt(this.#server.sessionType, CLOSE_NOTIFY, header);
    const record = Buffer.alloc(RECORD_HEADER_BYTES);
    record.writeUInt8(CONTENT_ALERT, 0);
    record.writeUInt16BE(DTLS_1_2, 1);
    record.writeUInt16BE(epoch, 3);
    record.writeUIntBE(sequenceNumber, 5, 6);
    record.writeUInt16BE(fragment.length, 11);
    return Buffer.concat([record, fragment]);
  }
}

/** DTLS among what shares the port (RFC 7983 §7). */
export function isDtls(datagram: Buffer): boolean {
  const first = datagram[0] ?? 0;
  return first >= 20 && first <= 63;
}

/**
 * Without the records in clear (epoch 0, RFC 6347 §4.1): once there are keys, anyone could have made those, and werift
 * would let them end the connection or begin it anew.
 */
function encryptedRecords(datagram: Buffer): Buffer {
  const records: Buffer[] = [];
  for (let at = 0; at + RECORD_HEADER_BYTES <= datagram.length; ) {
    const end = at + RECORD_HEADER_BYTES + datagram.readUInt16BE(at + 11);
    if (datagram.readUInt16BE(at + 3) > 0) records.push(datagram.subarray(at, end));
    at = end;
  }
  return records.length === 1 ? (records[0] ?? datagram) : Buffer.concat(records);
}
