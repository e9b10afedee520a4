import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { HumancastError } from './errors.js';
import { idSchema } from './ids.js';

const claimsSchema = z.object({
  sid: idSchema,
  /** Expiry, seconds since the Unix epoch. */
  exp: z.int(),
  /** `view`: watch and interrupt. `control`: also speak and end; given to demo visitors for their own session. */
  scope: z.enum(['view', 'control']),
});
export type TokenClaims = z.infer<typeof claimsSchema>;

/** A session token: base64url(claims) `.` base64url(HMAC-SHA-256 of that). Bound to one session, checked without a lookup. */
export function signToken(claims: TokenClaims, secret: string): string {
  const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${body}.${mac(body, secret).toString('base64url')}`;
}

/** @throws HumancastError `unauthorized` or `token_expired`. */
export function verifyToken(token: string, secret: string, nowMs: number): TokenClaims {
  const [body = '', signature = '', ...rest] = token.split('.');
  const given = Buffer.from(signature, 'base64url');
  const expected = mac(body, secret);
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected)) {
    throw new HumancastError('unauthorized', 'the session token is not valid');
  }
  const claims = claimsSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')));
  if (claims.exp * 1000 <= nowMs)
    throw new HumancastError('token_expired', 'the session token has expired; ask for a new session');
  return claims;
}

function mac(body: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(`humancast.session.${body}`).digest();
}
