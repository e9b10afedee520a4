import { createHmac, generateKeyPairSync } from 'node:crypto';
import { TOKEN_MAX_LENGTH } from '@humancast/protocol';
import { fuzz, fuzzTimeoutMs } from '@humancast/testkit';
import fc from 'fast-check';
import { CompactSign, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { HumancastError } from './humancast-error.js';
import { newId } from './new-id.js';
import { signToken, verifyToken } from './tokens.js';

const SECRET = ['a secret of the tests'] as const;
const KEY = Buffer.from(SECRET[0]);
const claims = { sid: newId('ses'), exp: 1000, scope: 'view' } as const;
const unauthorized = expect.objectContaining({ code: 'unauthorized' });
const token = await signToken(claims, SECRET);
const [header = '', body = '', signature = ''] = token.split('.');

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
const decode = (text: string) => JSON.parse(Buffer.from(text, 'base64url').toString());
const mac = (text: string, key: string | Buffer = KEY) => createHmac('sha256', key).update(text).digest('base64url');
/** @returns A token with a valid MAC over any content. */
const signed = (head: unknown, payload: unknown) => {
  const text = `${encode(head)}.${encode(payload)}`;
  return `${text}.${mac(text)}`;
};

describe('verifyToken()', () => {
  it('returns the signed claims', async () => {
    expect(await verifyToken(token, SECRET, 999_999)).toEqual(claims);
  });

  it('accepts a JWT with issuer, audience and key id', () => {
    expect(decode(header)).toEqual({ alg: 'HS256', typ: 'JWT', kid: expect.stringMatching(/^[\w-]{8}$/) });
    expect(decode(body)).toEqual({ ...claims, iss: 'humancast', aud: 'humancast.signaling' });
    expect(token.length).toBeLessThan(TOKEN_MAX_LENGTH / 2);
  });

  it('rejects an expired token with token_expired', async () => {
    await expect(verifyToken(token, SECRET, 1_000_000)).rejects.toMatchObject({ code: 'token_expired' });
    expect(await verifyToken(token, SECRET, 1_000_000, { acceptExpired: true })).toEqual(claims);
  });

  it('rejects another signature even if expired tokens are accepted', async () => {
    const forged = `${header}.${body}.${mac('something else')}`;
    await expect(verifyToken(forged, SECRET, 1_000_000, { acceptExpired: true })).rejects.toEqual(unauthorized);
  });

  it('rejects a token of another secret', async () => {
    await expect(verifyToken(token, ['another secret'], 0)).rejects.toEqual(unauthorized);
  });

  it("accepts a previous key's token while that key is still configured", async () => {
    expect(await verifyToken(token, ['the new one', ...SECRET], 0)).toEqual(claims);
    expect(await verifyToken(await signToken(claims, ['the new one', ...SECRET]), ['the new one'], 0)).toEqual(claims);
    await expect(verifyToken(token, ['the new one'], 0)).rejects.toEqual(unauthorized);
  });

  it('rejects a token with any change', async () => {
    const other = fc.nat({ max: token.length - 1 }).chain((at) =>
      fc
        .constantFrom(...'ABCXYZabcxyz0189-_.')
        .filter((letter) => letter !== token[at])
        .map((letter) => token.slice(0, at) + letter + token.slice(at + 1)),
    );
    // The last character of a base64url text has bits that are not decoded.
    await fc.assert(
      fc.asyncProperty(
        other.filter((text) => text.slice(0, -1) !== token.slice(0, -1)),
        async (text) => {
          await expect(verifyToken(text, SECRET, 0)).rejects.toEqual(unauthorized);
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it.each([
    ['', '.', '..', 'a', 'a.b', 'a.b.c', `${token}.`, `${token}.x`, `.${token}`, 'é.ü.ö', `${header}.${body}.`],
    [`${header}.${body}.\f${signature}`, `${token}\n`, ` ${token}`, `${header}\n.${body}.${signature}`],
  ])('rejects a text that is not a token', async (...texts) => {
    for (const text of texts) await expect(verifyToken(text, SECRET, 0), text).rejects.toEqual(unauthorized);
  });

  it('rejects another session or scope under the same signature', async () => {
    const forged = `${header}.${encode({ ...decode(body), scope: 'control' })}.${signature}`;
    await expect(verifyToken(forged, SECRET, 0)).rejects.toEqual(unauthorized);
  });

  it('rejects any other algorithm in the header', async () => {
    const kid = decode(header).kid;
    for (const alg of ['none', 'None', 'NONE', '', undefined, null, 256]) {
      const text = `${encode({ alg, typ: 'JWT', kid })}.${body}`;
      for (const end of ['', mac(text)]) {
        await expect(verifyToken(`${text}.${end}`, SECRET, 0)).rejects.toEqual(unauthorized);
      }
    }
    for (const alg of ['HS384', 'HS512']) {
      const strong = await new CompactSign(Buffer.from(JSON.stringify(decode(body))))
        .setProtectedHeader({ alg, typ: 'JWT', kid })
        .sign(Buffer.alloc(64, KEY));
      await expect(verifyToken(strong, SECRET, 0)).rejects.toEqual(unauthorized);
    }
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const asymmetric = await new SignJWT(decode(body))
      .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid })
      .sign(privateKey);
    await expect(verifyToken(asymmetric, SECRET, 0)).rejects.toEqual(unauthorized);
  });

  it('rejects a token signed by a key that it contains, or for another purpose', async () => {
    const good = decode(header);
    const jwk = { kty: 'oct', k: Buffer.from('mine').toString('base64url') };
    const text = `${encode({ ...good, jwk, jku: 'https://evil.example' })}.${body}`;
    await expect(verifyToken(`${text}.${mac(text, 'mine')}`, SECRET, 0)).rejects.toEqual(unauthorized);
    for (const head of [
      { ...good, typ: 'at+jwt' },
      { ...good, crit: ['exp'] },
      { ...good, b64: false, crit: ['b64'] },
      { ...good, kid: undefined },
      { ...good, kid: 'otherkey' },
      'HS256',
      null,
    ]) {
      await expect(verifyToken(signed(head, decode(body)), SECRET, 0)).rejects.toEqual(unauthorized);
    }
  });

  it('rejects missing or unexpected claims', async () => {
    const good = decode(body);
    expect(await verifyToken(signed(decode(header), good), SECRET, 0)).toEqual(claims);
    for (const payload of [
      { ...good, aud: 'another-service' },
      { ...good, aud: undefined },
      { ...good, iss: 'somebody' },
      { ...good, iss: undefined },
      { ...good, exp: undefined },
      { ...good, exp: '1000' },
      { ...good, exp: 1000.5 },
      { ...good, nbf: 500 },
      { ...good, sid: undefined },
      { ...good, sid: ['ses_12345678'] },
      { ...good, scope: 'admin' },
      { ...good, scope: ['view', 'control'] },
      [good],
      'ses_12345678',
      null,
    ]) {
      await expect(verifyToken(signed(decode(header), payload), SECRET, 0)).rejects.toEqual(unauthorized);
    }
  });

  it('rejects a token that is too long, even with a valid signature', async () => {
    const long = signed(decode(header), { ...decode(body), pad: 'x'.repeat(TOKEN_MAX_LENGTH) });
    await expect(verifyToken(long, SECRET, 0)).rejects.toEqual(unauthorized);
    const fits = signed(decode(header), { ...decode(body), pad: 'x'.repeat(100) });
    expect(await verifyToken(fits, SECRET, 0)).toEqual(claims);
  });

  it('rejects a mutated token with a stable code', {
    timeout: fuzzTimeoutMs({ seconds: 3 }),
  }, async () => {
    const deep = '['.repeat(300) + ']'.repeat(300);
    const corpus = [token, `${encode({ alg: 'none' })}.${body}.`, signed(decode(header), deep), `${header}.${body}`];
    const { runs } = await fuzz({ corpus, maxBytes: 4096, seconds: 3 }, async (input) => {
      for (const text of [input.toString('utf8'), input.toString('latin1')]) {
        const outcome = await verifyToken(text, SECRET, 0).catch((error: unknown) => error);
        if (text.slice(0, -1) === token.slice(0, -1)) continue;
        expect(outcome).toBeInstanceOf(HumancastError);
        expect(outcome).toEqual(unauthorized);
      }
    });
    expect(runs).toBeGreaterThan(0);
  });
});
