import { execFileSync } from 'node:child_process';
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { HandshakeInbox, type HandshakeMessage, writeMessage } from '../src/transport/dtls-handshake-inbox.js';
import {
  CONTENT,
  DTLS_1_2,
  type DtlsRecord,
  packRecords,
  readRecords,
  writeRecord,
} from '../src/transport/dtls-records.js';

/** DER of a raw X25519 key (RFC 8410 §4). */
const X25519_PREFIX = Buffer.from('302a300506032b656e032100', 'hex');
const ECDHE_ECDSA_AES_128_GCM = 0xc02b;
export const ECDSA_SHA256 = 0x0403;
const RSA_PKCS1_SHA256 = 0x0401;
export const SRTP_AES_128_GCM = 7;
export const SRTP_AES_128_CM_SHA1_80 = 1;

export interface ClientIdentity {
  /** The certificate in DER. */
  readonly certificate: Buffer;
  readonly key: KeyObject;
  /** SignatureAndHashAlgorithm that CertificateVerify states. */
  readonly algorithm: number;
}

const KEY_ARGUMENTS = {
  'p-256': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'p-384': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'p-521': ['ec', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  'rsa-1024': ['rsa:1024'],
  'rsa-2048': ['rsa:2048'],
  'rsa-with-a-large-exponent': ['rsa:2048', '-pkeyopt', 'rsa_keygen_pubexp:4294967311'],
  ed25519: ['ed25519'],
} as const;

/** Makes a key and a self-signed certificate with OpenSSL. @returns Both in PEM. */
export function makeCertificate(kind: keyof typeof KEY_ARGUMENTS): {
  readonly certPem: string;
  readonly keyPem: string;
} {
  const args = ['req', '-x509', '-nodes', '-subj', '/CN=viewer', '-newkey', ...KEY_ARGUMENTS[kind]];
  const pem = execFileSync('openssl', [...args, '-keyout', '-', '-out', '-'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const [keyPem = '', certPem = ''] = pem.toString().split(/(?=-----BEGIN CERTIFICATE-----)/);
  return { certPem, keyPem };
}

export function makeIdentity(kind: keyof typeof KEY_ARGUMENTS = 'p-256'): ClientIdentity {
  const { certPem, keyPem } = makeCertificate(kind);
  const key = createPrivateKey(keyPem);
  const algorithm = key.asymmetricKeyType === 'rsa' ? RSA_PKCS1_SHA256 : ECDSA_SHA256;
  return { certificate: new X509Certificate(certPem).raw, key, algorithm };
}

export interface DtlsTestClientOptions {
  /** `undefined`: the Certificate message is empty. */
  readonly identity: ClientIdentity | undefined;
  readonly send: (datagram: Buffer) => void;
  /** Maximum size of a message fragment. Default: 1100. */
  readonly maxFragmentBytes?: number;
  /** Sends each record in a datagram of its own. Default: as few datagrams as possible. */
  readonly oneRecordPerDatagram?: boolean;
  /** Bytes of padding in the ClientHello, as large as a post-quantum key share. Default: 0. */
  readonly helloPaddingBytes?: number;
  /** Bytes at the end of the ClientHello's extensions, which may be invalid. */
  readonly helloExtension?: Buffer | undefined;
  readonly srtpProfiles?: readonly number[];
  readonly cipherSuites?: readonly number[];
  /** Client version in the ClientHello. Default DTLS 1.2. */
  readonly version?: number;
  readonly extendedMasterSecret?: boolean;
  /** Leaves out CertificateVerify, also from the hash of Finished. */
  readonly omitCertificateVerify?: boolean;
  /** Changes the last flight before it is sent, but not the hash of Finished. */
  readonly distort?: (flight: readonly HandshakeMessage[]) => readonly HandshakeMessage[];
}

/** Result of the handshake. `refused`: by the server. `failed`: the server sent something wrong. */
export type ClientState = 'hello' | 'proving' | 'established' | 'refused' | 'failed' | 'closed';

interface Keys {
  readonly clientKey: Buffer;
  readonly serverKey: Buffer;
  readonly clientIv: Buffer;
  readonly serverIv: Buffer;
}

/**
 * A DTLS 1.2 client (RFC 6347, X25519, AES-128-GCM, extended master secret) on nothing but node:crypto. It has no timers: a
 * test that wants a flight to be sent again calls {@link repeat}.
 */
export class DtlsTestClient {
  state: ClientState = 'hello';
  /** Description of the alert that ended it. */
  alert: number | undefined;
  /** Why it failed. */
  error: unknown;
  readonly #options: DtlsTestClientOptions;
  readonly #random = randomBytes(32);
  readonly #keyPair = generateKeyPairSync('x25519');
  readonly #transcript: Buffer[] = [];
  readonly #sequences = [0, 0];
  #inbox = new HandshakeInbox();
  #nextMessage = 0;
  /** Body and epoch; numbered when it is sent. */
  #flight: { readonly type: number; readonly epoch: number; readonly body: Buffer }[] = [];
  #early: DtlsRecord[] = [];
  #serverRandom: Buffer = Buffer.alloc(0);
  #serverCertificate: X509Certificate | undefined;
  #serverKey: KeyObject | undefined;
  #masterSecret: Buffer = Buffer.alloc(0);
  #keys: Keys | undefined;
  #profile: number | undefined;

  constructor(options: DtlsTestClientOptions) {
    this.#options = options;
  }

  /** The negotiated profile, by its number in RFC 5764. */
  get srtpProfile(): number | undefined {
    return this.#profile;
  }

  start(): void {
    this.#sendFlight([this.#hello(Buffer.alloc(0))]);
  }

  /** Sends the last flight again, with new record numbers. */
  repeat(): void {
    const records = this.#flight.map(({ type, epoch, body }) => this.#record(type, epoch, body));
    for (const datagram of this.#options.oneRecordPerDatagram ? records : packRecords(records)) {
      this.#options.send(datagram);
    }
  }

  receive(datagram: Buffer): void {
    try {
      for (const record of readRecords(datagram).records) this.#read(record);
    } catch (error) {
      this.state = 'failed';
      this.error = error;
    }
  }

  /** SRTP key and salt of both directions (RFC 5764 §4.2). */
  exportSrtp(
    keyBytes: number,
    saltBytes: number,
  ): { clientKey: Buffer; serverKey: Buffer; clientSalt: Buffer; serverSalt: Buffer } {
    const seed = Buffer.concat([this.#random, this.#serverRandom]);
    const material = prf(this.#masterSecret, 'EXTRACTOR-dtls_srtp', seed, 2 * (keyBytes + saltBytes));
    const [clientKey, serverKey, clientSalt, serverSalt] = split(material, [keyBytes, keyBytes, saltBytes, saltBytes]);
    return { clientKey, serverKey, clientSalt, serverSalt };
  }

  /** @returns A protected record, numbered like any other of epoch 1. */
  seal(type: number, plaintext: Buffer): Buffer {
    return this.#record(type, 1, plaintext);
  }

  #read(record: DtlsRecord): void {
    if (record.epoch > 0 && !this.#keys) {
      this.#early.push({ ...record, body: Buffer.from(record.body) });
      return;
    }
    const plaintext = record.epoch === 0 ? record.body : this.#open(record);
    if (record.type === CONTENT.alert) {
      this.alert = plaintext.readUInt8(1);
      this.state = plaintext.readUInt8(0) === 2 ? 'refused' : 'closed';
    } else if (record.type === CONTENT.handshake) {
      this.#inbox.add(plaintext, record.epoch);
      for (let message = this.#inbox.take(); message; message = this.#inbox.take()) this.#accept(message);
    }
  }

  #accept(message: HandshakeMessage): void {
    const { type, body } = message;
    if (type === 3) {
      this.#transcript.length = 0;
      this.#sendFlight([this.#hello(body.subarray(3))]);
      return;
    }
    if (type === 20) {
      const expected = prf(this.#masterSecret, 'server finished', this.#transcriptHash(), 12);
      if (!expected.equals(body)) throw new Error('the server’s Finished is wrong');
      this.state = 'established';
      return;
    }
    this.#transcript.push(writeMessage(message));
    if (type === 2) this.#readServerHello(body);
    else if (type === 11) this.#serverCertificate = new X509Certificate(body.subarray(6));
    else if (type === 12) this.#readServerKey(body);
    else if (type === 14) this.#prove();
  }

  #hello(cookie: Buffer): HandshakeMessage {
    const { version = DTLS_1_2, srtpProfiles = [SRTP_AES_128_GCM], extendedMasterSecret = true } = this.#options;
    const extensions = [
      extension(10, Buffer.from('0002001d', 'hex')),
      extension(11, Buffer.from('0100', 'hex')),
      extension(13, Buffer.from('000404030401', 'hex')),
      ...(srtpProfiles.length > 0 ? [extension(14, Buffer.concat([list16(srtpProfiles), Buffer.from([0])]))] : []),
      ...(extendedMasterSecret ? [extension(23, Buffer.alloc(0))] : []),
      extension(0xff01, Buffer.from([0])),
      ...(this.#options.helloPaddingBytes ? [extension(21, Buffer.alloc(this.#options.helloPaddingBytes))] : []),
      ...(this.#options.helloExtension ? [this.#options.helloExtension] : []),
    ];
    const body = Buffer.concat([
      uint16(version),
      this.#random,
      Buffer.from([0, cookie.length]),
      cookie,
      list16(this.#options.cipherSuites ?? [ECDHE_ECDSA_AES_128_GCM]),
      Buffer.from([1, 0]),
      withLength16(Buffer.concat(extensions)),
    ]);
    const message = this.#message(1, body);
    this.#transcript.push(writeMessage(message));
    return message;
  }

  #readServerHello(body: Buffer): void {
    this.#serverRandom = Buffer.from(body.subarray(2, 34));
    let at = 35 + body.readUInt8(34) + 3 + 2;
    while (at < body.length) {
      const end = at + 4 + body.readUInt16BE(at + 2);
      if (body.readUInt16BE(at) === 14) this.#profile = body.readUInt16BE(at + 6);
      at = end;
    }
  }

  #readServerKey(body: Buffer): void {
    const publicKey = body.subarray(4, 4 + body.readUInt8(3));
    const parameters = body.subarray(0, 4 + publicKey.length);
    const signature = body.subarray(parameters.length + 4);
    const signed = Buffer.concat([this.#random, this.#serverRandom, parameters]);
    const key = this.#serverCertificate?.publicKey;
    if (!key || !verify('sha256', signed, key, signature))
      throw new Error('the server’s key exchange is not signed by it');
    const der = Buffer.concat([X25519_PREFIX, publicKey]);
    this.#serverKey = createPublicKey({ key: der, format: 'der', type: 'spki' });
  }

  #prove(): void {
    const { identity, distort, omitCertificateVerify } = this.#options;
    const own = this.#keyPair.publicKey.export({ format: 'der', type: 'spki' }).subarray(X25519_PREFIX.length);
    const certificate = identity ? withLength24(withLength24(identity.certificate)) : Buffer.alloc(3);
    const flight = [this.#append(11, certificate), this.#append(16, Buffer.concat([Buffer.from([own.length]), own]))];
    this.#deriveKeys();
    if (identity && !omitCertificateVerify) {
      const signature = sign(
        identity.key.asymmetricKeyType === 'ed25519' ? null : 'sha256',
        Buffer.concat(this.#transcript),
        identity.key,
      );
      flight.push(this.#append(15, Buffer.concat([uint16(identity.algorithm), withLength16(signature)])));
    }
    flight.push(this.#append(20, prf(this.#masterSecret, 'client finished', this.#transcriptHash(), 12)));
    this.state = 'proving';
    this.#sendFlight(distort ? distort(flight) : flight);
    const early = this.#early;
    this.#early = [];
    for (const record of early) this.#read(record);
  }

  #deriveKeys(): void {
    if (!this.#serverKey) throw new Error('there was no ServerKeyExchange');
    const secret = diffieHellman({ privateKey: this.#keyPair.privateKey, publicKey: this.#serverKey });
    this.#masterSecret = prf(secret, 'extended master secret', this.#transcriptHash(), 48);
    const seed = Buffer.concat([this.#serverRandom, this.#random]);
    const [clientKey, serverKey, clientIv, serverIv] = split(
      prf(this.#masterSecret, 'key expansion', seed, 40),
      [16, 16, 4, 4],
    );
    this.#keys = { clientKey, serverKey, clientIv, serverIv };
  }

  #append(type: number, body: Buffer): HandshakeMessage {
    const message = this.#message(type, body);
    this.#transcript.push(writeMessage(message));
    return message;
  }

  #message(type: number, body: Buffer): HandshakeMessage {
    return { type, sequence: this.#nextMessage++, body };
  }

  #transcriptHash(): Buffer {
    return createHash('sha256').update(Buffer.concat(this.#transcript)).digest();
  }

  #sendFlight(messages: readonly HandshakeMessage[]): void {
    this.#flight = messages.flatMap((message) => {
      const epoch = message.type === 20 ? 1 : 0;
      const fragments = fragment(message, this.#options.maxFragmentBytes ?? 1100);
      const records = fragments.map((body) => ({ type: CONTENT.handshake, epoch, body }));
      return epoch === 1 ? [{ type: CONTENT.changeCipherSpec, epoch: 0, body: Buffer.from([1]) }, ...records] : records;
    });
    this.repeat();
  }

  #record(type: number, epoch: number, body: Buffer): Buffer {
    const sequence = this.#sequences[epoch] ?? 0;
    this.#sequences[epoch] = sequence + 1;
    return writeRecord({ type, epoch, sequence, body: epoch === 0 ? body : this.#protect(type, sequence, body) });
  }

  #protect(type: number, sequence: number, plaintext: Buffer): Buffer {
    if (!this.#keys) throw new Error('there are no keys yet');
    const nonce = explicitNonce(sequence);
    const cipher = createCipheriv('aes-128-gcm', this.#keys.clientKey, Buffer.concat([this.#keys.clientIv, nonce]));
    cipher.setAAD(additionalData(nonce, type, plaintext.length));
    return Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
  }

  #open({ type, body }: DtlsRecord): Buffer {
    if (!this.#keys) throw new Error('there are no keys yet');
    const nonce = body.subarray(0, 8);
    const encrypted = body.subarray(8, -16);
    const decipher = createDecipheriv('aes-128-gcm', this.#keys.serverKey, Buffer.concat([this.#keys.serverIv, nonce]));
    decipher.setAAD(additionalData(nonce, type, encrypted.length));
    decipher.setAuthTag(body.subarray(-16));
    return Buffer.concat([decipher.update(encrypted), decipher.final()]);
  }
}

/** P_SHA256 (RFC 5246 §5). */
function prf(secret: Buffer, label: string, seed: Buffer, bytes: number): Buffer {
  const start = Buffer.concat([Buffer.from(label), seed]);
  const hmac = (data: Buffer) => createHmac('sha256', secret).update(data).digest();
  const parts: Buffer[] = [];
  for (let a = hmac(start), length = 0; length < bytes; a = hmac(a), length += 32) {
    parts.push(hmac(Buffer.concat([a, start])));
  }
  return Buffer.concat(parts).subarray(0, bytes);
}

/** @returns The message in fragments of at most this many bytes, each with a header. */
export function fragment(message: HandshakeMessage, maxBytes: number): Buffer[] {
  const whole = writeMessage(message);
  const header = whole.subarray(0, 12);
  const fragments: Buffer[] = [];
  for (let offset = 0; offset === 0 || offset < message.body.length; offset += maxBytes) {
    const body = message.body.subarray(offset, offset + maxBytes);
    const own = Buffer.from(header);
    own.writeUIntBE(offset, 6, 3);
    own.writeUIntBE(body.length, 9, 3);
    fragments.push(Buffer.concat([own, body]));
  }
  return fragments;
}

function explicitNonce(sequence: number): Buffer {
  const nonce = Buffer.alloc(8);
  nonce.writeUInt16BE(1, 0);
  nonce.writeUIntBE(sequence, 2, 6);
  return nonce;
}

/** Epoch and record number, type, version, length (RFC 5246 §6.2.3.3): our nonces, and werift's, are the first two. */
function additionalData(nonce: Buffer, type: number, length: number): Buffer {
  return Buffer.concat([nonce, Buffer.from([type]), uint16(DTLS_1_2), uint16(length)]);
}

function split(buffer: Buffer, lengths: readonly [number, number, number, number]): [Buffer, Buffer, Buffer, Buffer] {
  let end = 0;
  const take = (length: number) => {
    end += length;
    return buffer.subarray(end - length, end);
  };
  return [take(lengths[0]), take(lengths[1]), take(lengths[2]), take(lengths[3])];
}

function extension(type: number, data: Buffer): Buffer {
  return Buffer.concat([uint16(type), withLength16(data)]);
}

function list16(values: readonly number[]): Buffer {
  return withLength16(Buffer.concat(values.map(uint16)));
}

function withLength16(data: Buffer): Buffer {
  return Buffer.concat([uint16(data.length), data]);
}

function withLength24(data: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0]), uint16(data.length), data]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
