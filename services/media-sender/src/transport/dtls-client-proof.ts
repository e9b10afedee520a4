import { type KeyObject, timingSafeEqual, verify, X509Certificate } from 'node:crypto';
import { ALERT, DtlsError } from './dtls-alert.js';

/** Supported SignatureAndHashAlgorithm values (RFC 5246 §7.4.1.4.1), the same as in werift's CertificateRequest. */
const RSA_PKCS1_SHA256 = 0x0401;
const ECDSA_SHA256 = 0x0403;
const CURVES: ReadonlySet<string | undefined> = new Set(['prime256v1', 'secp384r1']);
/** Larger keys would let a client consume too much CPU: verifying with a 4096-bit key takes about 0.1 ms. */
const RSA_BITS = { min: 2048, max: 4096 };
const MAX_RSA_EXPONENT = 0xffff_ffffn;

/**
 * Reads the client's own certificate, the first in its Certificate message (RFC 5246 §7.4.2).
 *
 * @returns the certificate in DER. @throws DtlsError if there is none.
 */
export function readCertificate(message: Buffer): Buffer {
  if (message.length < 3 || message.readUIntBE(0, 3) !== message.length - 3) {
    throw new DtlsError(ALERT.decodeError, 'the Certificate message is malformed');
  }
  if (message.length === 3) throw new DtlsError(ALERT.handshakeFailure, 'the client has no certificate');
  const end = message.length < 6 ? Number.POSITIVE_INFINITY : 6 + message.readUIntBE(3, 3);
  if (end > message.length || end === 6) {
    throw new DtlsError(ALERT.decodeError, 'the Certificate message is malformed');
  }
  return message.subarray(6, end);
}

/**
 * Verifies that the client has the private key of the certificate it presented (RFC 5246 §7.4.8): ECDSA on P-256 or P-384,
 * or RSA (PKCS #1 v1.5) of 2048 to 4096 bits, both with SHA-256.
 *
 * @param message the CertificateVerify message. @param transcript all messages before it. @throws DtlsError if it does not.
 */
export function verifyPossession(message: Buffer, certificate: Buffer, transcript: Buffer): void {
  if (message.length < 4 || message.readUInt16BE(2) !== message.length - 4) {
    throw new DtlsError(ALERT.decodeError, 'the CertificateVerify message is malformed');
  }
  const algorithm = message.readUInt16BE(0);
  const key = publicKeyOf(certificate);
  if (!fits(algorithm, key)) {
    throw new DtlsError(ALERT.illegalParameter, `signature algorithm 0x${algorithm.toString(16)} was not offered`);
  }
  if (!isSignatureBy(key, transcript, message.subarray(4))) {
    throw new DtlsError(ALERT.decryptError, 'the client does not have the key of its certificate');
  }
}

/**
 * Compares the client's Finished message with the expected one (RFC 5246 §7.4.9).
 *
 * @throws DtlsError if they differ: the client has other keys or has seen other handshake messages.
 */
export function verifyFinished(message: Buffer, expected: Buffer): void {
  if (message.length !== expected.length || !timingSafeEqual(message, expected)) {
    throw new DtlsError(ALERT.decryptError, 'the Finished message does not match this handshake');
  }
}

function publicKeyOf(certificate: Buffer): KeyObject {
  try {
    return new X509Certificate(certificate).publicKey;
  } catch {
    throw new DtlsError(ALERT.badCertificate, 'the certificate is malformed');
  }
}

function fits(algorithm: number, key: KeyObject): boolean {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  const isSupported =
    key.asymmetricKeyType === 'rsa'
      ? modulusLength >= RSA_BITS.min && modulusLength <= RSA_BITS.max && publicExponent <= MAX_RSA_EXPONENT
      : key.asymmetricKeyType === 'ec' && CURVES.has(namedCurve);
  if (!isSupported) {
    throw new DtlsError(ALERT.unsupportedCertificate, 'the key is neither P-256, P-384 nor RSA of 2048 to 4096 bits');
  }
  return algorithm === (key.asymmetricKeyType === 'rsa' ? RSA_PKCS1_SHA256 : ECDSA_SHA256);
}

function isSignatureBy(key: KeyObject, data: Buffer, signature: Buffer): boolean {
  try {
    return verify('sha256', data, key, signature);
  } catch {
    return false;
  }
}
