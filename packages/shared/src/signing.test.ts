import { describe, expect, it } from 'vitest';
import { isSigned, sign } from './signing.js';

describe('isSigned()', () => {
  const signature = sign('text', ['the key of the tests']);

  it('accepts a signature by any of the keys', () => {
    expect(isSigned('text', signature, ['the key of the tests'])).toBe(true);
    expect(isSigned('text', signature, ['a newer key', 'the key of the tests'])).toBe(true);
    expect(isSigned('text', signature, ['a newer key'])).toBe(false);
    expect(isSigned('other', signature, ['the key of the tests'])).toBe(false);
  });

  it('rejects any other text, even one that decodes to the same bytes', () => {
    const last = signature.at(-1) === 'A' ? 'B' : String.fromCharCode(signature.charCodeAt(42) + 1);
    const other = [`${signature}=`, `${signature}\n`, ` ${signature}`, `${signature.slice(0, -1)}${last}`, ''];
    for (const text of other) expect(isSigned('text', text, ['the key of the tests']), text).toBe(false);
  });
});
