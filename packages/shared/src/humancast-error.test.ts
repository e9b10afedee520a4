import { ERRORS } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { HumancastError, toProblem } from './humancast-error.js';

describe('toProblem()', () => {
  it('converts a known error to a problem document', () => {
    const error = new HumancastError('queue_full', { detail: '500 are waiting', extra: { limit: 500 } });
    expect(toProblem(error)).toEqual({
      type: 'https://humancast.dev/errors#queue_full',
      title: ERRORS.queue_full.title,
      status: 409,
      code: 'queue_full',
      detail: '500 are waiting',
      limit: 500,
    });
  });

  it('discloses nothing of any other error', () => {
    for (const thrown of [new Error('password hunter2'), 'hunter2', undefined, null]) {
      const problem = toProblem(thrown);
      expect(problem).toMatchObject({ status: 500, code: 'internal' });
      expect(JSON.stringify(problem)).not.toContain('hunter2');
    }
  });

  it('keeps the standard members if further ones have their names', () => {
    const error = new HumancastError('forbidden', { extra: { status: 200, code: 'ok' } });
    expect(toProblem(error)).toMatchObject({ status: 403, code: 'forbidden' });
  });
});
