import { NotFoundException, ServiceUnavailableException } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { HumancastError } from './humancast-error.js';
import { toHumancastError } from './to-humancast-error.js';

describe('toHumancastError()', () => {
  it('returns a HumancastError unchanged', () => {
    const error = new HumancastError('queue_full');
    expect(toHumancastError(error)).toBe(error);
  });

  it('converts a ZodError of our own data to internal', () => {
    const { error } = z.object({ state: z.enum(['hosted']) }).safeParse({ state: 'paused' });
    const known = toHumancastError(error);
    expect(known).toMatchObject({ code: 'internal', status: 500 });
    expect(known.message).not.toContain('state');
  });

  it("converts the framework's errors", () => {
    expect(toHumancastError(new NotFoundException('Cannot GET /x'))).toMatchObject({ code: 'not_found' });
  });

  it("converts the body parser's errors that are meant for callers", () => {
    const error = Object.assign(new Error('request entity too large'), { status: 413, expose: true });
    expect(toHumancastError(error)).toMatchObject({ code: 'message_too_large', status: 413 });
  });

  it('converts a lost database connection to unavailable with a retry delay', () => {
    const error = Object.assign(new Error('connect Econnection refused 10.0.0.1:6379'), {
      code: 'Econnection refused',
    });
    const known = toHumancastError(error);
    expect(known).toMatchObject({ code: 'unavailable', retryAfterSeconds: 2 });
    expect(known.message).not.toContain('10.0.0.1');
  });

  it('converts a database that hangs or is full to the same error', () => {
    const full = Object.assign(new Error("OOM command not allowed when used memory > 'maxmemory'."), {
      name: 'ReplyError',
    });
    for (const error of [full, new Error('Command timed out')]) {
      expect(toHumancastError(error)).toMatchObject({ code: 'unavailable', status: 503 });
    }
  });

  it.each([[new Error('hunter2')], ['hunter2'], [null], [undefined], [new ServiceUnavailableException('hunter2')]])(
    'discloses nothing of %s',
    (thrown) => {
      const known = toHumancastError(thrown);
      expect(known).toMatchObject({ code: 'internal', status: 500 });
      expect(known.message).not.toContain('hunter2');
    },
  );
});
