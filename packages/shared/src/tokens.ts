import { z } from 'zod';
import { HumancastError } from './errors.js';
import { idSchema } from './ids.js';
import { isSigned, type SigningKeys, sign } from './signing.js';

const claimsSchema = z.object({
  sid: idSchema,
  /** Expiry, seconds since the Unix epoch. */
  exp: z.int(),
  /** `view`: watch and interrupt. `control`: also speak and end; given to demo visitors for their own session. */
  scope: z.enum(['view', 'control']),
});
export type TokenClaims = z.infer<typeof claimsSchema>;

/** A session token: base64url(claims) `.` base64url(HMAC-SHA-256 of that). Bound to one session, checked without a lookup. */
export function signToken(claims: TokenClaims, keys: SigningKeys): string {
  const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
  return `${body}.${sign(signedText(body), keys)}`;
}

/** @throws HumancastError `unauthorized` or `token_expired`. */
export function verifyToken(token: string, keys: SigningKeys, nowMs: number): TokenClaims {
  const [body = '', signature = '', ...rest] = token.split('.');
  if (rest.length > 0 || !isSigned(signedText(body), signature, keys)) {
    throw new HumancastError('unauthorized', 'the session token is not valid');
  }
  const claims = claimsSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')));
  if (claims.exp * 1000 <= nowMs)
    throw new HumancastError('token_expired', 'the session token has expired; ask for a new session');
  return claims;
}

/** Says what kind of text it is, so that nothing else signed with these keys passes for a token. */
const signedText = (body: string) => `humancast.session.${body}`;
