import { describe, expect, it } from 'vitest';
import { fragment } from '../../testing/dtls-client.js';
import { HANDSHAKE, HandshakeInbox, MAX_MESSAGE_BYTES, writeMessage } from './dtls-handshake-inbox.js';

const NOTHING_WRONG = { invalid: false, repeated: false };
const INVALID = { invalid: true, repeated: false };
const hello = { type: HANDSHAKE.clientHello, sequence: 0, body: Buffer.from('a hello of some length') };
const certificate = { type: HANDSHAKE.certificate, sequence: 1, body: Buffer.from('a certificate') };

/** A fragment with any header. */
function claim(claims: { length: number; offset?: number; bytes?: number; sequence?: number; body?: Buffer }): Buffer {
  const { length, offset = 0, body = Buffer.alloc(1), bytes = body.length, sequence = 0 } = claims;
  const header = Buffer.alloc(12);
  header.writeUInt8(HANDSHAKE.clientHello, 0);
  header.writeUIntBE(length, 1, 3);
  header.writeUInt16BE(sequence, 4);
  header.writeUIntBE(offset, 6, 3);
  header.writeUIntBE(bytes, 9, 3);
  return Buffer.concat([header, body]);
}

describe('HandshakeInbox', () => {
  it('returns messages in order when their fragments arrive in any order', () => {
    const inbox = new HandshakeInbox();
    const fragments = [...fragment(hello, 5), ...fragment(certificate, 3)].reverse();
    for (const one of fragments) {
      expect(inbox.take()).toBeUndefined();
      expect(inbox.add(one, 0)).toEqual(NOTHING_WRONG);
    }
    expect(inbox.take()).toEqual(hello);
    expect(inbox.take()).toEqual(certificate);
    expect(inbox.take()).toBeUndefined();
  });

  it('reassembles overlapping fragments of different lengths and several fragments in one record', () => {
    const inbox = new HandshakeInbox();
    const record = Buffer.concat([...fragment(hello, 7), ...fragment(hello, 4), writeMessage(certificate)]);
    expect(inbox.add(record, 0)).toEqual(NOTHING_WRONG);
    expect([inbox.take(), inbox.take()]).toEqual([hello, certificate]);
  });

  it('reports a retransmission only when the end of the last returned message comes again', () => {
    const inbox = new HandshakeInbox();
    inbox.add(writeMessage(hello), 0);
    expect(inbox.add(writeMessage(hello), 0)).toEqual(NOTHING_WRONG);
    inbox.take();
    const [first, , , , last] = fragment(hello, 5);
    expect(inbox.add(first ?? Buffer.alloc(0), 0)).toEqual(NOTHING_WRONG);
    expect(inbox.add(last ?? Buffer.alloc(0), 0)).toEqual({ invalid: false, repeated: true });
    expect(inbox.take()).toBeUndefined();
  });

  it.each([
    { what: 'a header that is cut short', record: claim({ length: 1 }).subarray(0, 11) },
    { what: 'a fragment longer than its record', record: claim({ length: 9, bytes: 9 }) },
    { what: 'a fragment beyond the end of its message', record: claim({ length: 4, offset: 4 }) },
    { what: 'a message longer than the limit', record: claim({ length: MAX_MESSAGE_BYTES + 1 }) },
    { what: 'a message of 16 MB', record: claim({ length: 0xffffff, offset: 0xfffffe }) },
    { what: 'an empty fragment of a message that is not empty', record: claim({ length: 4, body: Buffer.alloc(0) }) },
    { what: 'a message too far ahead', record: claim({ length: 4, sequence: 5 }) },
  ])('refuses $what and keeps nothing of it', ({ record }) => {
    const inbox = new HandshakeInbox();
    expect(inbox.add(record, 0)).toEqual(INVALID);
    expect(inbox.add(writeMessage(hello), 0)).toEqual(NOTHING_WRONG);
    expect(inbox.take()).toEqual(hello);
  });

  it('rejects fragments that disagree about the type or length of their message', () => {
    const inbox = new HandshakeInbox();
    inbox.add(claim({ length: 10 }), 0);
    expect(inbox.add(claim({ length: 11, offset: 1 }), 0)).toEqual(INVALID);
    expect(inbox.add(writeMessage({ ...certificate, sequence: 0 }), 0)).toEqual(INVALID);
  });

  it('accepts Finished only protected and all other messages only unprotected', () => {
    const inbox = new HandshakeInbox();
    expect(inbox.add(writeMessage({ type: HANDSHAKE.finished, sequence: 0, body: Buffer.alloc(12) }), 0)).toEqual(
      INVALID,
    );
    expect(inbox.add(writeMessage(hello), 1)).toEqual(INVALID);
    expect(inbox.take()).toBeUndefined();
  });
});
