import { createPrivateKey, randomBytes, sign, X509Certificate } from 'node:crypto';
import {
  CipherContext,
  DtlsServer,
  ProtectionProfileAeadAes128Gcm,
  ProtectionProfileAes128CmHmacSha1_80,
} from 'werift';
import { MASTER_KEY_BYTES, masterSaltBytes, type SrtpKeys, type SrtpProfile } from '../rtp/srtp.js';
import { ALERT, DtlsError } from './dtls-alert.js';
import { readCertificate, verifyFinished, verifyPossession } from './dtls-client-proof.js';
import { HANDSHAKE, type HandshakeMessage, writeMessage } from './dtls-handshake-inbox.js';
import { CONTENT, DTLS_1_2, type DtlsRecord, RECORD_HEADER_BYTES, writeRecord } from './dtls-records.js';
import { useNativeX25519 } from './native-x25519.js';

useNativeX25519();

export type DtlsCertificate = Awaited<ReturnType<typeof CipherContext.createSelfSignedCertificateWithKey>>;

const PROFILES: ReadonlyMap<number | undefined, SrtpProfile> = new Map([
  [ProtectionProfileAeadAes128Gcm, 'AEAD_AES_128_GCM'],
  [ProtectionProfileAes128CmHmacSha1_80, 'AES128_CM_HMAC_SHA1_80'],
]);
/** The value of werift's session type for a client. */
const CLIENT = 1;
const COOKIE_BYTES = 20;
/** The explicit part of the nonce, the authentication tag, and at least one byte (RFC 5288 §3). */
const MIN_PROTECTED_BYTES = 8 + 16 + 1;
/** A flight number above all of werift's, so that its timer never retransmits. */
const NO_MORE_FLIGHTS = 99;

/** Types of the client's messages, in the required order. */
const STEPS = [
  HANDSHAKE.clientHello,
  HANDSHAKE.certificate,
  HANDSHAKE.clientKeyExchange,
  HANDSHAKE.certificateVerify,
  HANDSHAKE.finished,
] as const;

export interface HandshakeEvents {
  /** Records to send, and to retransmit until the client answers if `insist` is true. */
  flight(records: readonly Buffer[], insist: boolean): void;
  /** The client's proofs are valid, and its flight has been answered. */
  established(): void;
  /** werift has failed. Our own refusals are thrown by {@link ServerHandshake.accept}. */
  failed(error: DtlsError): void;
}

/**
 * The server side of one DTLS 1.2 handshake. The messages that we send, the keys and their use are werift's. It gets the
 * client's messages only when they are complete, in order, expected and proven: werift itself accepts them in any order and
 * verifies neither CertificateVerify nor Finished.
 */
export class ServerHandshake {
  readonly #server: DtlsServer;
  readonly #events: HandshakeEvents;
  readonly #cookie = randomBytes(COOKIE_BYTES);
  #step = 0;
  /** Datagrams that werift has sent since this was last emptied. */
  #sent: Buffer[] = [];
  /** All messages so far except the first ClientHello and its answer (RFC 6347 §4.2.6). */
  readonly #transcript: Buffer[] = [];
  #certificate: Buffer | undefined;
  #established = false;

  constructor(own: DtlsCertificate, events: HandshakeEvents) {
    this.#events = events;
    this.#server = new DtlsServer({
      // In order of preference.
      srtpProfiles: [ProtectionProfileAeadAes128Gcm, ProtectionProfileAes128CmHmacSha1_80],
      extendedMasterSecret: true,
      certificateRequest: true,
      transport: {
        type: 'ice',
        address: { address: '', family: '', port: 0 },
        closed: false,
        onData: () => {},
        send: async (record) => {
          this.#sent.push(record);
        },
        close: async () => {},
      },
    });
    Object.assign(this.#server.cipher, credentialsOf(own));
    this.#server.dtls.cookie = this.#cookie;
    this.#server.onConnect.once(() => this.#answered());
    // werift gives no alert and not always a reason; only a malformed or unsuitable ClientHello or key makes it fail.
    this.#server.onError.subscribe((error) => {
      const reason = error instanceof Error ? error.message : String(error);
      events.failed(
        new DtlsError(ALERT.handshakeFailure, `no common parameters with the client${reason && `: ${reason}`}`),
      );
    });
  }

  /** Whether {@link open} can authenticate records. */
  get hasKeys(): boolean {
    return this.#step > STEPS.indexOf(HANDSHAKE.clientKeyExchange);
  }

  /** The client's certificate in DER; `undefined` until the client has proven that it has the key. */
  get clientCertificate(): Buffer | undefined {
    return this.#established ? this.#certificate : undefined;
  }

  /** The keys for SRTP (RFC 5764 §4.2); `undefined` before the handshake is complete. */
  srtpKeys(): { local: SrtpKeys; remote: SrtpKeys } | undefined {
    const profile = PROFILES.get(this.#server.srtp.srtpProfile);
    if (!profile || !this.#established) return undefined;
    const keys = this.#server.extractSessionKeys(MASTER_KEY_BYTES, masterSaltBytes(profile));
    return {
      local: { profile, masterKey: keys.localKey, masterSalt: keys.localSalt },
      remote: { profile, masterKey: keys.remoteKey, masterSalt: keys.remoteSalt },
    };
  }

  /**
   * Accepts the client's next message.
   *
   * @throws DtlsError if the handshake must end.
   */
  accept(message: HandshakeMessage): void {
    const expected = STEPS[this.#step];
    // Renegotiation is not supported: messages after the handshake are ignored.
    if (expected === undefined) return;
    if (message.type !== expected) {
      throw new DtlsError(ALERT.unexpectedMessage, `received handshake message ${message.type} instead of ${expected}`);
    }
    const { body } = message;
    switch (expected) {
      case HANDSHAKE.clientHello:
        this.#hello(message);
        return;
      case HANDSHAKE.certificate:
        this.#certificate = readCertificate(body);
        break;
      case HANDSHAKE.certificateVerify:
        verifyPossession(body, this.#certificate ?? Buffer.alloc(0), Buffer.concat(this.#transcript));
        break;
      case HANDSHAKE.finished:
        verifyFinished(body, this.#clientVerifyData());
        break;
      default:
    }
    this.#transcript.push(this.#hand(message));
    if (expected === HANDSHAKE.clientKeyExchange && !this.#server.cipher.cipher) return;
    this.#step++;
  }

  /** @returns the plaintext of a protected record; `undefined` if it is not authentic, or there are no keys yet. */
  open({ type, epoch, sequence, body }: DtlsRecord): Buffer | undefined {
    if (!this.hasKeys || body.length < MIN_PROTECTED_BYTES) return undefined;
    const { cipher, sessionType } = this.#server.cipher;
    try {
      return cipher.decrypt(sessionType, body, { type, version: DTLS_1_2, epoch, sequenceNumber: sequence });
    } catch {
      return undefined;
    }
  }

  /** @returns a protected record. May be called only when the handshake is complete. */
  seal(type: number, plaintext: Buffer): Buffer {
    const { dtls, cipher, sessionType } = this.#server;
    const { epoch } = dtls;
    const sequence = ++dtls.recordSequenceNumber;
    const header = { type, version: DTLS_1_2, epoch, sequenceNumber: sequence };
    return writeRecord({ type, epoch, sequence, body: cipher.cipher.encrypt(sessionType, plaintext, header) });
  }

  /**
   * Only a ClientHello with our cookie, which proves its source address, costs more than an answer (RFC 6347 §4.2.1).
   * Everything is negotiated from that ClientHello: werift would use the parameters of the first one, which Finished does
   * not cover.
   */
  #hello(message: HandshakeMessage): void {
    const { cookie, withoutCookie } = readHello(message.body);
    if (!cookie.equals(this.#cookie)) {
      this.#events.flight([this.#helloVerifyRequest()], false);
      return;
    }
    this.#hand({ ...message, body: withoutCookie });
    const { cipher, dtls, srtp } = this.#server;
    // werift has refused it and is about to report why.
    if (!cipher.localKeyPair) return;
    if (!dtls.remoteExtendedMasterSecret) {
      throw new DtlsError(ALERT.handshakeFailure, 'the client does not offer the extended master secret (RFC 7627)');
    }
    if (srtp.srtpProfile === undefined) {
      throw new DtlsError(ALERT.handshakeFailure, 'the client does not offer SRTP (RFC 5764)');
    }
    this.#sent = [];
    this.#transcript.push(this.#hand(message));
    this.#transcript.push(...this.#sent.map((record) => record.subarray(RECORD_HEADER_BYTES)));
    dtls.flight = NO_MORE_FLIGHTS;
    this.#step++;
    this.#events.flight(this.#sent, true);
    this.#sent = [];
  }

  #answered(): void {
    this.#established = true;
    const finished = this.#sent.at(-1);
    // werift would restart the count and reuse numbers, which are nonces.
    if (finished) this.#server.dtls.recordSequenceNumber = finished.readUIntBE(5, 6);
    this.#events.flight(this.#sent, false);
    this.#events.established();
  }

  /**
   * Gives werift a message in a record that needs no reassembly and no decision.
   *
   * @returns the message as it stands in the transcript.
   */
  #hand(message: HandshakeMessage): Buffer {
    const body = writeMessage(message);
    this.#server.transport.socket.onData(writeRecord({ type: CONTENT.handshake, epoch: 0, sequence: 0, body }), [
      '',
      0,
    ]);
    return body;
  }

  #clientVerifyData(): Buffer {
    const client = new CipherContext(CLIENT);
    client.masterSecret = this.#server.cipher.masterSecret;
    return client.verifyData(Buffer.concat(this.#transcript));
  }

  #helloVerifyRequest(): Buffer {
    const version = Buffer.alloc(3);
    version.writeUInt16BE(DTLS_1_2, 0);
    version.writeUInt8(this.#cookie.length, 2);
    const body = writeMessage({
      type: HANDSHAKE.helloVerifyRequest,
      sequence: 0,
      body: Buffer.concat([version, this.#cookie]),
    });
    return writeRecord({ type: CONTENT.handshake, epoch: 0, sequence: 0, body });
  }
}

/** The parts of werift's cipher context that belong to our own certificate. */
interface Credentials {
  readonly localCert: Buffer;
  readonly localPrivateKey: { sign(data: Buffer, hash: string): Buffer };
  readonly signatureHashAlgorithm: DtlsCertificate['signatureHash'];
}

const knownCredentials = new WeakMap<DtlsCertificate, Credentials>();

/**
 * werift would parse the certificate for each connection and the key for each signature, a third of the handshake's CPU
 * time.
 */
function credentialsOf(own: DtlsCertificate): Credentials {
  let credentials = knownCredentials.get(own);
  if (!credentials) {
    const key = createPrivateKey(own.keyPem);
    credentials = {
      localCert: new X509Certificate(own.certPem).raw,
      localPrivateKey: { sign: (data, hash) => sign(hash, data, key) },
      signatureHashAlgorithm: own.signatureHash,
    };
    knownCredentials.set(own, credentials);
  }
  return credentials;
}

/** Finds the cookie in a ClientHello (RFC 6347 §4.2.1). @throws DtlsError if the message is malformed. */
function readHello(body: Buffer): { cookie: Buffer; withoutCookie: Buffer } {
  // Version, 32 bytes of random, session id, cookie; the last two with a length of one byte.
  const sessionIdAt = 2 + 32;
  const cookieAt = sessionIdAt + 1 + (body[sessionIdAt] ?? 0);
  const cookieEnd = cookieAt + 1 + (body[cookieAt] ?? 0);
  if (body.length <= cookieEnd) throw new DtlsError(ALERT.decodeError, 'the ClientHello is malformed');
  // The minor version is its complement: 0xfd is newer than 0xff.
  if (body.readUInt8(0) !== DTLS_1_2 >> 8 || body.readUInt8(1) > (DTLS_1_2 & 0xff)) {
    throw new DtlsError(ALERT.protocolVersion, 'the client does not support DTLS 1.2');
  }
  return {
    cookie: body.subarray(cookieAt + 1, cookieEnd),
    withoutCookie: Buffer.concat([body.subarray(0, cookieAt), Buffer.from([0]), body.subarray(cookieEnd)]),
  };
}
