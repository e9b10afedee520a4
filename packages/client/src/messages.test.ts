import { ERRORS } from '@humancast/protocol';
import { describe, expect, it } from 'vitest';
import { clientError, codesWithWords } from './errors.js';
import { parseSignal } from './messages.js';

describe('parseSignal()', () => {
  it('returns undefined for a message that lacks a field which the client reads', () => {
    expect(parseSignal('{"type":"waiting","position":3}')).toEqual({ type: 'waiting', position: 3 });
    expect(parseSignal('{"type":"waiting"}')).toBeUndefined();
    expect(parseSignal('{"type":"event","event":null}')).toBeUndefined();
    expect(parseSignal('{"type":"constructor"}')).toBeUndefined();
    expect(parseSignal(new ArrayBuffer(4))).toBeUndefined();
  });
});

describe('ERRORS', () => {
  it("has the server's codes and the few that the client raises", () => {
    const ours = ['bad_ice_servers', 'unsupported', 'unreachable', 'no_media', 'connection_lost', 'media_lost'];
    expect(
      codesWithWords()
        .filter((code) => !(code in ERRORS))
        .sort(),
    ).toEqual(ours.sort());
  });

  it("keeps the server's message for an unknown code, and retries", () => {
    expect(clientError('brand_new', 'The moon is full.')).toEqual({
      code: 'brand_new',
      message: 'The moon is full.',
      fatal: false,
    });
  });
});
