import { describe, expect, it } from 'vitest';
import { CONTENT, packRecords, ReplayWindow, readRecords, writeRecord } from './dtls-records.js';

const record = { type: CONTENT.handshake, epoch: 0, sequence: 5, body: Buffer.from('body') };
const valid = writeRecord(record);
const patched = (at: number, byte: number) => Buffer.from(valid.with(at, byte));

describe('readRecords()', () => {
  it('returns all records of a datagram', () => {
    const other = { type: CONTENT.alert, epoch: 1, sequence: 2 ** 48 - 1, body: Buffer.from([1, 0]) };
    const { records, malformed } = readRecords(Buffer.concat([valid, writeRecord(other)]));
    expect(records).toEqual([record, other]);
    expect(malformed).toBe(false);
  });

  it.each([
    { what: 'an unknown content type', broken: patched(0, 24) },
    { what: 'another major version', broken: patched(1, 3) },
    { what: 'DTLS 1.3', broken: patched(2, 0xfc) },
    { what: 'DTLS 1.0 in a protected record', broken: Buffer.from(patched(2, 0xff).with(4, 1)) },
    { what: 'no content', broken: writeRecord({ ...record, body: Buffer.alloc(0) }) },
    { what: 'more content than a record may have', broken: writeRecord({ ...record, body: Buffer.alloc(18_433) }) },
  ])('passes over a record with $what, and reads the next one', ({ broken }) => {
    expect(readRecords(Buffer.concat([broken, valid]))).toEqual({ records: [record], malformed: true });
  });

  it('accepts the version DTLS 1.0 in an unprotected record, as in a first ClientHello', () => {
    expect(readRecords(patched(2, 0xff))).toEqual({ records: [record], malformed: false });
  });

  it('returns the records before one that is cut off', () => {
    for (let length = 1; length < valid.length; length++) {
      const datagram = Buffer.concat([valid, valid.subarray(0, length)]);
      expect(readRecords(datagram)).toEqual({ records: [record], malformed: true });
    }
    expect(readRecords(Buffer.alloc(0))).toEqual({ records: [], malformed: true });
  });
});

describe('packRecords()', () => {
  it('fills datagrams of at most 1200 bytes in order and sends a longer record alone', () => {
    const records = [600, 600, 1, 1300, 2].map((length, i) => Buffer.alloc(length, i));
    expect(packRecords(records).map(({ length }) => length)).toEqual([1200, 1, 1300, 2]);
    expect(Buffer.concat(packRecords(records))).toEqual(Buffer.concat(records));
    expect(packRecords([])).toEqual([]);
  });
});

describe('ReplayWindow', () => {
  it('remembers the last 64 numbers and treats older ones as replayed', () => {
    const window = new ReplayWindow();
    expect(window.has(0)).toBe(false);
    for (const sequence of [3, 2 ** 47, 2 ** 47 + 63, 2 ** 47 + 10]) {
      expect(window.has(sequence)).toBe(false);
      window.add(sequence);
      expect(window.has(sequence)).toBe(true);
    }
    expect(window.has(2 ** 47)).toBe(true);
    expect(window.has(2 ** 47 + 1)).toBe(false);
    expect(window.has(2 ** 47 - 1)).toBe(true);
    window.add(2 ** 48 - 1);
    expect(window.has(2 ** 47 + 11)).toBe(true);
    expect(window.has(2 ** 48 - 2)).toBe(false);
  });
});
