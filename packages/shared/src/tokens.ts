import { createHmac } from 'node:crypto';
import { idSchema, TOKEN_MAX_LENGTH } from '@humancast/protocol';
import { errors, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import { HumancastError } from './humancast-error.js';
import type { SigningKeys } from './signing.js';

const ISSUER = 'humancast';
const AUDIENCE = 'humancast.signaling';
/** The only algorithm used or accepted (RFC 8725 §3.1), whatever the token's header states. */
const ALGORITHM = 'HS256';

/**
 * Three base64url texts (RFC 7515 §7.1). Decoders skip white space, so without this check one token would have many texts.
 */
const COMPACT = /^[\w-]+\.[\w-]+\.[\w-]+$/;

const claimsSchema = z.object({
  sid: idSchema,
  /** Expiry, seconds since the Unix epoch. */
  exp: z.int(),
  /** `view`: watch and interrupt. `control`: also speak and end; demo visitors get it for their own session. */
  scope: z.enum(['view', 'control']),
  /** Whether its viewers may speak. */
  microphone: z.boolean().optional(),
});
export type TokenClaims = z.infer<typeof claimsSchema>;

/** Signs a session token: a JWT (RFC 7519) that is bound to one session and is checked without a lookup. */
export function signToken({ sid, exp, scope, microphone }: TokenClaims, [current]: SigningKeys): Promise<string> {
  return new SignJWT({ sid, scope, ...(microphone && { microphone }) })
    .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: keyId(current) })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .setExpirationTime(exp)
    .sign(Buffer.from(current));
}

/**
 * Verifies a session token's signature, issuer, audience and expiry.
 * @param keys The keys to verify with, selected by the token's `kid`.
 * @param options.acceptExpired Whether to accept a token that has expired and is otherwise valid.
 * @throws HumancastError `unauthorized`, `token_expired`.
 */
export async function verifyToken(
  token: string,
  keys: SigningKeys,
  nowMs: number,
  { acceptExpired = false } = {},
): Promise<TokenClaims> {
  if (token.length > TOKEN_MAX_LENGTH || !COMPACT.test(token)) throw notValid();
  const parsed = claimsSchema.safeParse(await payloadOf(token, keys, nowMs, acceptExpired));
  if (!parsed.success) throw notValid(parsed.error);
  return parsed.data;
}

async function payloadOf(token: string, keys: SigningKeys, nowMs: number, acceptExpired: boolean): Promise<unknown> {
  try {
    const { payload } = await jwtVerify(token, ({ kid }) => keyOf(kid, keys), {
      algorithms: [ALGORITHM],
      issuer: ISSUER,
      audience: AUDIENCE,
      typ: 'JWT',
      requiredClaims: ['exp'],
      currentDate: new Date(nowMs),
    });
    return payload;
  } catch (error) {
    // Everything else has been verified by now.
    if (!(error instanceof errors.JWTExpired)) throw notValid(error);
    if (acceptExpired) return error.payload;
    throw new HumancastError('token_expired', 'the session token has expired; ask for a new session');
  }
}

/** @throws HumancastError `unauthorized` if the key is unknown or no longer valid. */
function keyOf(kid: string | undefined, keys: SigningKeys): Uint8Array {
  const key = keys.find((candidate) => keyId(candidate) === kid);
  if (key === undefined) throw notValid();
  return Buffer.from(key);
}

/** @returns An id of a key that does not reveal it: 48 bits of a MAC by it. */
function keyId(key: string): string {
  return createHmac('sha256', key).update('humancast.kid').digest('base64url').slice(0, 8);
}

function notValid(cause?: unknown): HumancastError {
  return new HumancastError('unauthorized', { detail: 'the session token is not valid', cause });
}
