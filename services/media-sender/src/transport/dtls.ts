import { createHash, X509Certificate } from 'node:crypto';
import { CipherContext, HashAlgorithm, NamedCurveAlgorithm, SignatureAlgorithm } from 'werift';
import type { SrtpKeys } from '../rtp/srtp.js';
import { ALERT, alertBody, DtlsError, readAlert } from './dtls-alert.js';
import { FlightSender } from './dtls-flight.js';
import { type DtlsCertificate, ServerHandshake } from './dtls-handshake.js';
import { HandshakeInbox } from './dtls-handshake-inbox.js';
import { CONTENT, type DtlsRecord, ReplayWindow, readRecords } from './dtls-records.js';

export type { DtlsCertificate } from './dtls-handshake.js';

/** A certificate's hash, as SDP carries it (RFC 8122 §5). */
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

/** The process's certificate: created once, self-signed, known to viewers by the fingerprint in each description. */
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

/**
 * Maximum number of protected records that overtook the key exchange and are kept until there are keys; a client sends one.
 */
const MAX_EARLY_RECORDS = 4;
const MAX_EARLY_BYTES = 256;

/**
 * Why a datagram, or part of one, was ignored. `unsupported`: application data. `unauthenticated`: a record that was forged,
 * replayed, or unprotected although there are keys.
 */
export type DtlsProblem = 'malformed' | 'unsupported' | 'unauthenticated';

export interface DtlsEvents {
  /**
   * The handshake is complete, and the client has proven that it has the key of its certificate. {@link DtlsEndpoint.isPeer}
   * tells whose certificate it is.
   */
  established(): void;
  /** Either side has refused the handshake, or an internal error occurred. The endpoint is closed. */
  failed(error: Error): void;
  /** The viewer has ended an established connection with an authentic alert. */
  closed(): void;
  /** Part of a datagram was dropped. Called at most once per datagram, with the first reason. */
  dropped?(problem: DtlsProblem): void;
}

/**
 * The server end of DTLS 1.2, which yields the SRTP keys (RFC 5764) and carries no data. It never throws on received data:
 * invalid records are dropped and counted (RFC 6347 §4.1.2.7), and invalid handshake messages end this connection. Once it
 * is established, only authentic records have any effect.
 */
export class DtlsEndpoint {
  readonly #handshake: ServerHandshake;
  readonly #inbox = new HandshakeInbox();
  readonly #flights: FlightSender;
  readonly #replays = new ReplayWindow();
  readonly #send: (datagram: Buffer) => void;
  readonly #events: DtlsEvents;
  #early: DtlsRecord[] = [];
  #problem: DtlsProblem | undefined;
  #authentic = false;
  #established = false;
  #closed = false;

  constructor(own: DtlsCertificate, send: (datagram: Buffer) => void, events: DtlsEvents) {
    this.#events = events;
    this.#send = (datagram) => this.#guard(() => send(datagram));
    this.#flights = new FlightSender(this.#send);
    this.#handshake = new ServerHandshake(own, {
      flight: (records, insist) => {
        if (!this.#closed) this.#flights.transmit(records, insist);
      },
      established: () => {
        if (this.#closed) return;
        this.#established = true;
        this.#guard(() => events.established());
      },
      failed: (error) => this.#fail(error),
    });
  }

  /**
   * Reads a datagram. Never throws, and does not use the datagram's memory after the call.
   *
   * @returns whether part of it was authentic: only the client has the keys.
   */
  receive(datagram: Buffer): boolean {
    this.#authentic = false;
    this.#problem = undefined;
    this.#guard(() => this.#read(datagram));
    const problem = this.#problem;
    if (problem) this.#guard(() => this.#events.dropped?.(problem));
    return this.#authentic;
  }

  /** @returns whether the other end's certificate has one of these fingerprints; `false` before `established`. */
  isPeer(fingerprints: readonly Fingerprint[]): boolean {
    const peer = this.#handshake.clientCertificate;
    if (!peer) return false;
    return fingerprints.some(({ algorithm, value }) => {
      const hash = FINGERPRINT_HASHES[algorithm.toLowerCase()];
      if (hash === undefined) return false;
      return createHash(hash).update(peer).digest('hex') === value.replaceAll(':', '').toLowerCase();
    });
  }

  /** `undefined` before `established`. */
  srtpKeys(): { local: SrtpKeys; remote: SrtpKeys } | undefined {
    return this.#handshake.srtpKeys();
  }

  /** Sends close_notify if there is a connection, and releases everything. May be called twice. */
  close(): void {
    if (this.#closed) return;
    const wasEstablished = this.#established;
    this.#end();
    if (wasEstablished) this.#sendAlert(ALERT.closeNotify);
  }

  #read(datagram: Buffer): void {
    const { records, malformed } = readRecords(datagram);
    if (malformed) this.#drop('malformed');
    for (const record of records) {
      if (this.#closed) return;
      if (record.epoch === 0) this.#readClear(record);
      else this.#readProtected(record);
    }
  }

  /** Once the client has proven that it has the keys, unprotected records may come from anyone. */
  #readClear({ type, body }: DtlsRecord): void {
    if (this.#established) this.#drop('unauthenticated');
    else if (type === CONTENT.handshake) this.#readHandshake(body, 0);
    else if (type === CONTENT.alert) this.#readAlert(body);
    else if (type === CONTENT.applicationData) this.#drop('unsupported');
  }

  #readProtected(record: DtlsRecord): void {
    const { type, epoch, sequence } = record;
    if (epoch === 1 && !this.#handshake.hasKeys) {
      this.#keepEarly(record);
      return;
    }
    const plaintext = epoch === 1 && !this.#replays.has(sequence) ? this.#handshake.open(record) : undefined;
    if (!plaintext) {
      this.#drop('unauthenticated');
      return;
    }
    this.#replays.add(sequence);
    this.#authentic = true;
    if (type === CONTENT.handshake) this.#readHandshake(plaintext, epoch);
    else if (type === CONTENT.alert) this.#readAlert(plaintext);
    else this.#drop('unsupported');
  }

  #keepEarly(record: DtlsRecord): void {
    const fits = this.#early.length < MAX_EARLY_RECORDS && record.body.length <= MAX_EARLY_BYTES;
    if (fits && record.type === CONTENT.handshake) this.#early.push({ ...record, body: Buffer.from(record.body) });
    else this.#drop('unauthenticated');
  }

  #readHandshake(plaintext: Buffer, epoch: number): void {
    const { invalid, repeated } = this.#inbox.add(plaintext, epoch);
    if (invalid) this.#drop('malformed');
    for (let message = this.#inbox.take(); message && !this.#closed; message = this.#inbox.take()) {
      this.#handshake.accept(message);
    }
    if (repeated) this.#flights.repeat();
    if (this.#early.length > 0 && this.#handshake.hasKeys) {
      const early = this.#early;
      this.#early = [];
      for (const record of early) if (!this.#closed) this.#readProtected(record);
    }
  }

  #readAlert(body: Buffer): void {
    const alert = readAlert(body);
    if (!alert) this.#drop('malformed');
    else if (!alert.fatal && alert.description !== ALERT.closeNotify) return;
    else if (this.#established) {
      this.#end();
      this.#events.closed();
    } else {
      this.#end();
      this.#events.failed(new Error(`the client refused the handshake with alert ${alert.description}`));
    }
  }

  #drop(problem: DtlsProblem): void {
    this.#problem ??= problem;
  }

  /** Ends this connection, and nothing else, if the action or a listener throws. */
  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(reason: unknown): void {
    if (this.#closed) return;
    const error = reason instanceof Error ? reason : new Error(String(reason));
    this.#end();
    this.#guard(() => this.#sendAlert(error instanceof DtlsError ? error.alert : ALERT.internalError));
    this.#guard(() => this.#events.failed(error));
  }

  #sendAlert(description: number): void {
    const body = alertBody(description);
    if (this.#established) this.#send(this.#handshake.seal(CONTENT.alert, body));
    else this.#flights.sendClear(CONTENT.alert, body);
  }

  #end(): void {
    this.#closed = true;
    this.#flights.stop();
  }
}
