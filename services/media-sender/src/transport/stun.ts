import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { crc32 } from 'node:zlib';

/** STUN (RFC 8489) as far as an ICE-lite agent needs it: binding requests, their responses, and binding indications. */
const MAGIC_COOKIE = 0x2112_a442;
const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_INDICATION = 0x0011;
const BINDING_SUCCESS = 0x0101;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const XOR_MAPPED_ADDRESS = 0x0020;
const PRIORITY = 0x0024;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const ICE_CONTROLLED = 0x8029;
const FINGERPRINT_XOR = 0x5354_554e;

const INTEGRITY_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;
const COLON = 0x3a;
/** RFC 8839 §5.4. */
const MAX_FRAGMENT_BYTES = 256;
/** A check fits into one MTU (RFC 8489 §6.1); longer messages are ignored. */
const MAX_MESSAGE_BYTES = 1500;
/**
 * Priority with the type preference of peer-reflexive candidates (RFC 8445 §5.1.2.1), the highest local preference, and
 * component 1.
 */
const PRFLX_PRIORITY = 110 * 2 ** 24 + 65_535 * 2 ** 8 + 255;

/** Credentials that protect the checks of one direction: a check names the receiver's fragment and uses its password. */
export interface IceCredentials {
  readonly usernameFragment: string;
  readonly password: string;
}

export interface BindingRequest {
  readonly kind: 'request';
  readonly transactionId: Buffer;
  /** Whether the controlling agent nominates the pair on which this came (RFC 8445 §8.1.1). */
  readonly useCandidate: boolean;
}

/** A STUN message that the agent handles. Only indications are not authenticated. */
export type StunMessage =
  | BindingRequest
  | { readonly kind: 'indication' }
  | { readonly kind: 'success'; readonly transactionId: Buffer };

/** Why a message is ignored: it is malformed, of another kind, or its sender does not know the password. */
export type StunProblem = 'malformed' | 'unsupported' | 'unauthenticated';

/** @returns whether a datagram is STUN; other protocols share the port (RFC 7983 §7). */
export function isStun(datagram: Buffer): boolean {
  return (datagram[0] ?? 255) < 4;
}

/**
 * Finds the agent that a binding request is for, without allocating for other datagrams.
 * @returns the first half of its USERNAME (RFC 8445 §7.2.2); `undefined` if the datagram is not a well-formed request with one.
 */
export function namedFragment(datagram: Buffer): string | undefined {
  if (!isWellFormed(datagram) || datagram.readUInt16BE(0) !== BINDING_REQUEST) return undefined;
  for (let at = HEADER_BYTES; at + ATTRIBUTE_HEADER_BYTES <= datagram.length; ) {
    const bytes = datagram.readUInt16BE(at + 2);
    const from = at + ATTRIBUTE_HEADER_BYTES;
    if (datagram.readUInt16BE(at) === USERNAME) {
      const colon = datagram.indexOf(COLON, from);
      const isInside = colon >= 0 && colon < from + bytes && from + bytes <= datagram.length;
      return isInside && colon - from <= MAX_FRAGMENT_BYTES ? datagram.toString('latin1', from, colon) : undefined;
    }
    at = from + bytes + (-bytes & 3);
  }
  return undefined;
}

/**
 * Reads one message in time linear in its length; any bytes are allowed.
 * @param local credentials that protect requests to us.
 * @param remote credentials that protect responses to our own requests, once they are known.
 */
export function readStun(
  datagram: Buffer,
  local: IceCredentials,
  remote?: IceCredentials | undefined,
): StunMessage | StunProblem {
  if (!isWellFormed(datagram)) return 'malformed';
  switch (datagram.readUInt16BE(0)) {
    case BINDING_REQUEST:
      return readRequest(datagram, local);
    case BINDING_INDICATION:
      return { kind: 'indication' };
    case BINDING_SUCCESS:
      return readSuccess(datagram, remote);
    default:
      return 'unsupported';
  }
}

function isWellFormed(datagram: Buffer): boolean {
  return (
    datagram.length >= HEADER_BYTES &&
    datagram.length <= MAX_MESSAGE_BYTES &&
    datagram.readUInt32BE(4) === MAGIC_COOKIE &&
    datagram.readUInt16BE(2) === datagram.length - HEADER_BYTES
  );
}

function readRequest(datagram: Buffer, local: IceCredentials): BindingRequest | StunProblem {
  const attributes = readAttributes(datagram);
  if (!attributes) return 'malformed';
  const { username, useCandidate } = attributes;
  // Comparing the fragment is cheaper than the hash, and strangers do not know it either.
  if (!username?.toString('latin1').startsWith(`${local.usernameFragment}:`)) return 'unauthenticated';
  if (!isAuthentic(datagram, attributes, local.password)) return 'unauthenticated';
  return { kind: 'request', transactionId: transactionIdOf(datagram), useCandidate };
}

function readSuccess(datagram: Buffer, remote: IceCredentials | undefined): StunMessage | StunProblem {
  const attributes = readAttributes(datagram);
  if (!attributes) return 'malformed';
  if (!remote || !isAuthentic(datagram, attributes, remote.password)) return 'unauthenticated';
  return { kind: 'success', transactionId: transactionIdOf(datagram) };
}

interface Attributes {
  username: Buffer | undefined;
  useCandidate: boolean;
  integrity: { readonly at: number; readonly value: Buffer } | undefined;
}

/**
 * Reads the attributes up to MESSAGE-INTEGRITY, which does not cover later ones (RFC 8489 §14.5).
 * @returns `undefined` if an attribute exceeds the message.
 */
function readAttributes(datagram: Buffer): Attributes | undefined {
  const found: Attributes = { username: undefined, useCandidate: false, integrity: undefined };
  for (let at = HEADER_BYTES; at + ATTRIBUTE_HEADER_BYTES <= datagram.length; ) {
    const type = datagram.readUInt16BE(at);
    const bytes = datagram.readUInt16BE(at + 2);
    const from = at + ATTRIBUTE_HEADER_BYTES;
    if (from + bytes > datagram.length) return undefined;
    const value = datagram.subarray(from, from + bytes);
    if (type === USERNAME) found.username = value;
    if (type === USE_CANDIDATE) found.useCandidate = true;
    if (type === MESSAGE_INTEGRITY) {
      found.integrity = { at, value };
      return found;
    }
    at = from + bytes + (-bytes & 3);
  }
  return found;
}

function isAuthentic(datagram: Buffer, { integrity }: Attributes, password: string): boolean {
  if (integrity?.value.length !== INTEGRITY_BYTES) return false;
  return timingSafeEqual(integrity.value, integrityOf(datagram.subarray(0, integrity.at), password));
}

/** The id is copied, because the datagram's memory is valid during the call only. */
function transactionIdOf(datagram: Buffer): Buffer {
  return Buffer.from(datagram.subarray(8, HEADER_BYTES));
}

/** @returns the response to a request that came from `address:port`. */
export function bindingSuccess(
  { transactionId }: BindingRequest,
  address: string,
  port: number,
  password: string,
): Buffer {
  const header = headerOf(BINDING_SUCCESS, transactionId);
  return sign(
    Buffer.concat([header, attribute(XOR_MAPPED_ADDRESS, xorAddress(address, port, header.subarray(4)))]),
    password,
  );
}

/**
 * @returns a check of our own, as the controlled agent (RFC 8445 §7.1); its answer proves that the viewer is at the address.
 * @param transactionId 12 random bytes, which the answer repeats.
 */
export function bindingRequest(transactionId: Buffer, local: IceCredentials, remote: IceCredentials): Buffer {
  const priority = Buffer.alloc(4);
  priority.writeUInt32BE(PRFLX_PRIORITY);
  return sign(
    Buffer.concat([
      headerOf(BINDING_REQUEST, transactionId),
      attribute(USERNAME, Buffer.from(`${remote.usernameFragment}:${local.usernameFragment}`)),
      attribute(PRIORITY, priority),
      // The tie-breaker is never compared: a lite agent cannot be controlling against a full one (RFC 8445 §6.1.1).
      attribute(ICE_CONTROLLED, Buffer.alloc(8)),
    ]),
    remote.password,
  );
}

function headerOf(type: number, transactionId: Buffer): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(type, 0);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  transactionId.copy(header, 8);
  return header;
}

/** Adds MESSAGE-INTEGRITY and FINGERPRINT (RFC 8489 §14.5, §14.7). */
function sign(unsigned: Buffer, password: string): Buffer {
  const signed = Buffer.concat([unsigned, attribute(MESSAGE_INTEGRITY, integrityOf(unsigned, password))]);
  setLength(signed, signed.length + ATTRIBUTE_HEADER_BYTES + 4);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(signed) ^ FINGERPRINT_XOR) >>> 0);
  return Buffer.concat([signed, attribute(FINGERPRINT, fingerprint)]);
}

/**
 * Computes the HMAC-SHA1 over the message up to the attribute, with a length field that includes the attribute (RFC 8489
 * §14.5).
 */
function integrityOf(before: Buffer, password: string): Buffer {
  const message = Buffer.from(before);
  setLength(message, message.length + ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES);
  return createHmac('sha1', password).update(message).digest();
}

function setLength(message: Buffer, totalBytes: number): void {
  message.writeUInt16BE(totalBytes - HEADER_BYTES, 2);
}

function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(ATTRIBUTE_HEADER_BYTES + value.length + (-value.length & 3));
  padded.writeUInt16BE(type, 0);
  padded.writeUInt16BE(value.length, 2);
  value.copy(padded, ATTRIBUTE_HEADER_BYTES);
  return padded;
}

/** @param mask magic cookie and transaction id (RFC 8489 §14.2). */
function xorAddress(address: string, port: number, mask: Buffer): Buffer {
  const octets = isIPv6(address) ? ipv6Octets(address) : address.split('.').map(Number);
  const value = Buffer.alloc(4 + octets.length);
  value.writeUInt8(octets.length === 16 ? 2 : 1, 1);
  value.writeUInt16BE(port ^ mask.readUInt16BE(0), 2);
  octets.forEach((octet, i) => {
    value[4 + i] = octet ^ (mask[i] ?? 0);
  });
  return value;
}

/** A link-local address may have a zone (RFC 4007 §11), which means nothing to the other side. */
function ipv6Octets(addressWithZone: string): number[] {
  const [address = ''] = addressWithZone.split('%');
  const [head = '', tail] = address.split('::');
  const groups = (text: string) => (text === '' ? [] : text.split(':')).flatMap(groupOctets);
  const left = groups(head);
  const right = groups(tail ?? '');
  return [...left, ...new Array<number>(16 - left.length - right.length).fill(0), ...right];
}

/** `2001` or, at the end of a mapped address, `192.0.2.1`. */
function groupOctets(group: string): number[] {
  if (group.includes('.')) return group.split('.').map(Number);
  const value = Number.parseInt(group, 16);
  return [value >> 8, value & 255];
}
