import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { crc32 } from 'node:zlib';

/** STUN (RFC 8489) as far as an ICE-lite agent needs it: binding requests in, success responses out. */
const MAGIC_COOKIE = 0x2112_a442;
const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_SUCCESS = 0x0101;

const USERNAME = 0x0006;
const MESSAGE_INTEGRITY = 0x0008;
const XOR_MAPPED_ADDRESS = 0x0020;
const USE_CANDIDATE = 0x0025;
const FINGERPRINT = 0x8028;
const FINGERPRINT_XOR = 0x5354_554e;

const INTEGRITY_BYTES = 20;
const ATTRIBUTE_HEADER_BYTES = 4;

export interface BindingRequest {
  readonly transactionId: Buffer;
  /** `ours:theirs` (RFC 8445 §7.2.2). */
  readonly username: string;
  /** The controlling agent nominates the pair that this came on (RFC 8445 §8.1.1). */
  readonly useCandidate: boolean;
}

/** STUN among what shares the port (RFC 7983 §7). */
export function isStun(datagram: Buffer): boolean {
  return datagram.length >= HEADER_BYTES && (datagram[0] ?? 255) < 4 && datagram.readUInt32BE(4) === MAGIC_COOKIE;
}

/** → the request, if it is one and whoever sent it knows `password`. */
export function readBindingRequest(datagram: Buffer, password: string): BindingRequest | undefined {
  if (!isStun(datagram) || datagram.readUInt16BE(0) !== BINDING_REQUEST) return undefined;
  if (datagram.readUInt16BE(2) !== datagram.length - HEADER_BYTES) return undefined;
  let username = '';
  let useCandidate = false;
  for (let at = HEADER_BYTES; at + ATTRIBUTE_HEADER_BYTES <= datagram.length; ) {
    const type = datagram.readUInt16BE(at);
    const bytes = datagram.readUInt16BE(at + 2);
    const from = at + ATTRIBUTE_HEADER_BYTES;
    if (from + bytes > datagram.length) return undefined;
    const value = datagram.subarray(from, from + bytes);
    if (type === USERNAME) username = value.toString('utf8');
    if (type === USE_CANDIDATE) useCandidate = true;
    if (type === MESSAGE_INTEGRITY) {
      // What comes after it is not covered by it, and means nothing (RFC 8489 §14.5).
      const authentic =
        bytes === INTEGRITY_BYTES && timingSafeEqual(value, integrityOf(datagram.subarray(0, at), password));
      return authentic ? { transactionId: Buffer.from(datagram.subarray(8, 20)), username, useCandidate } : undefined;
    }
    at = from + bytes + (-bytes & 3);
  }
  return undefined;
}

/** The answer to a request that came from `address:port`. */
export function bindingSuccess(request: BindingRequest, address: string, port: number, password: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(BINDING_SUCCESS, 0);
  header.writeUInt32BE(MAGIC_COOKIE, 4);
  request.transactionId.copy(header, 8);
  const mapped = attribute(XOR_MAPPED_ADDRESS, xorAddress(address, port, header.subarray(4)));
  const unsigned = Buffer.concat([header, mapped]);
  const signed = Buffer.concat([unsigned, attribute(MESSAGE_INTEGRITY, integrityOf(unsigned, password))]);
  setLength(signed, signed.length + ATTRIBUTE_HEADER_BYTES + 4);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(signed) ^ FINGERPRINT_XOR) >>> 0);
  return Buffer.concat([signed, attribute(FINGERPRINT, fingerprint)]);
}

/** HMAC-SHA1 over the message up to the attribute, its length field counting the attribute as well (RFC 8489 §14.5). */
function integrityOf(before: Buffer, password: string): Buffer {
  const message = Buffer.from(before);
  setLength(message, message.length + ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES);
  return createHmac('sha1', password).update(message).digest();
}

function setLength(message: Buffer, totalBytes: number): void {
  message.writeUInt16BE(totalBytes - HEADER_BYTES, 2);
}

function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(ATTRIBUTE_HEADER_BYTES);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
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

function ipv6Octets(address: string): number[] {
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
