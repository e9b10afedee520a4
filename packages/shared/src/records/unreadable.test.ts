import { describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import type { Logger } from '../log.js';
import { readRecord, requireRecord } from './read-record.js';
import { UnreadableRecords, unreadableRecords } from './unreadable.js';

describe('readRecord()', () => {
  const schema = z.object({ id: z.string(), size: z.int().default(1) });

  it('ignores unknown members, and takes defaults for missing ones', () => {
    expect(readRecord('avatar', 'ann', schema, '{"id":"ann","newMember":{"deep":true}}')).toEqual({
      id: 'ann',
      size: 1,
    });
  });

  it.each([
    ['garbage', '{"id":'],
    ['not an object', '7'],
    ['a member of another type', '{"id":7}'],
    ['a later form', '{"id":"ann","v":2}'],
    ['a form that is no number', '{"id":"ann","v":"next"}'],
  ])('returns undefined and counts for %s', (_, stored) => {
    const before = unreadableRecords.counts.get('avatar') ?? 0;
    expect(readRecord('avatar', 'ann', schema, stored)).toBeUndefined();
    expect(unreadableRecords.counts.get('avatar')).toBe(before + 1);
  });

  it('reads a record of the present version', () => {
    expect(readRecord('avatar', 'ann', schema, '{"id":"ann","v":1}')).toEqual({ id: 'ann', size: 1 });
  });

  it('requireRecord() throws record_unreadable without the stored content', () => {
    const read = () => requireRecord('avatar', 'ann', schema, '{"id":{"secret":"hunter2"}}');
    expect(read).toThrow(expect.objectContaining({ code: 'record_unreadable', status: 409 }));
    expect(read).not.toThrow('hunter2');
  });
});

describe('UnreadableRecords', () => {
  const setUp = () => {
    const clock = { ms: 0 };
    const warn = vi.fn();
    const records = new UnreadableRecords(() => clock.ms);
    records.logTo({ warn } as unknown as Logger);
    return { clock, warn, records };
  };

  it('logs a name once in ten minutes, and counts each time', () => {
    const { clock, warn, records } = setUp();
    for (let n = 0; n < 1000; n++) records.add('event', 'speech.paused', 'unknown type');
    expect(warn).toHaveBeenCalledTimes(1);
    expect(records.counts.get('event')).toBe(1000);
    clock.ms = 600_000;
    records.add('event', 'speech.paused', 'unknown type');
    expect(warn).toHaveBeenCalledTimes(2);
  });

  it('logs at most 20 lines a minute, however many names there are', () => {
    const { clock, warn, records } = setUp();
    for (let n = 0; n < 1000; n++) records.add('message', `type-${n}`, 'unknown type');
    expect(warn).toHaveBeenCalledTimes(20);
    clock.ms = 60_000;
    records.add('message', 'another', 'unknown type');
    expect(warn).toHaveBeenCalledTimes(21);
  });

  it('logs no more than the beginning of a long name', () => {
    const { warn, records } = setUp();
    records.add('event', 'x'.repeat(100_000), 'unknown type');
    expect(warn).toHaveBeenCalledWith(expect.objectContaining({ record: 'x'.repeat(80) }), expect.any(String));
  });
});
