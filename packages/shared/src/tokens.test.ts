import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newId } from './ids.js';
import { signToken, verifyToken } from './tokens.js';

const SECRET = ['a secret of the tests'] as const;
const claims = { sid: newId('ses'), exp: 1000, scope: 'view' } as const;

describe('a session token', () => {
  const token = signToken(claims, SECRET);

  it('says what was signed', () => {
    expect(verifyToken(token, SECRET, 999_999)).toEqual(claims);
  });

  it('is over at the second it says', () => {
    expect(() => verifyToken(token, SECRET, 1_000_000)).toThrow(expect.objectContaining({ code: 'token_expired' }));
  });

  it('is nothing to who holds another secret', () => {
    const refused = expect.objectContaining({ code: 'unauthorized' });
    expect(() => verifyToken(token, ['another secret'], 0)).toThrow(refused);
  });

  it('outlives a change of keys for as long as the old one is still believed', () => {
    expect(verifyToken(token, ['the new one', ...SECRET], 0)).toEqual(claims);
    expect(verifyToken(signToken(claims, ['the new one', ...SECRET]), ['the new one'], 0)).toEqual(claims);
  });

  it('cannot be changed: any other text is refused', () => {
    const refused = expect.objectContaining({ code: 'unauthorized' });
    const other = fc.nat({ max: token.length - 1 }).chain((at) =>
      fc
        .constantFrom(...'ABCXYZabcxyz0189-_.')
        .filter((letter) => letter !== token[at])
        .map((letter) => token.slice(0, at) + letter + token.slice(at + 1)),
    );
    // The last letter of a base64url text carries bits that decode to nothing.
    fc.assert(
      fc.property(
        other.filter((text) => text.slice(0, -1) !== token.slice(0, -1)),
        (text) => {
          expect(() => verifyToken(text, SECRET, 0)).toThrow(refused);
        },
      ),
    );
  });

  it.each(['', '.', 'a', 'a.b', `${token}.`, `${token}.x`, `.${token}`, 'é.ü'])('refuses %j', (text) => {
    expect(() => verifyToken(text, SECRET, 0)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });

  it('never carries another session or scope under the same signature', () => {
    const [, signature] = token.split('.');
    const body = Buffer.from(JSON.stringify({ ...claims, scope: 'control' })).toString('base64url');
    const forged = `${body}.${signature}`;
    expect(() => verifyToken(forged, SECRET, 0)).toThrow(expect.objectContaining({ code: 'unauthorized' }));
  });
});
