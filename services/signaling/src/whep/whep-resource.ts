import { createHmac, timingSafeEqual } from 'node:crypto';
import { connectionIdSchema, HumancastError, idSchema } from '@humancast/shared';
import { z } from 'zod';

const resourceSchema = z.object({
  session: idSchema,
  viewer: idSchema,
  connection: connectionIdSchema,
  /** Names the player's ICE session; another one in a PATCH means a restart. */
  ufrag: z.string(),
  /** Whether the session was made for this player, and ends with it. */
  owned: z.boolean(),
});
export type WhepResource = z.infer<typeof resourceSchema>;

/**
 * A WHEP session URL carries all that is needed to serve it, signed: any signaling process can, and nobody can make one up.
 * Whether the viewer is still there is for the registry to say.
 */
export function resourceId(resource: WhepResource, secret: string): string {
  const body = Buffer.from(JSON.stringify(resource)).toString('base64url');
  return `${body}.${mac(body, secret).toString('base64url')}`;
}

/** @throws HumancastError `not_found`. */
export function parseResourceId(id: string, secret: string): WhepResource {
  const [body = '', signature = ''] = id.split('.');
  const given = Buffer.from(signature, 'base64url');
  const expected = mac(body, secret);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new HumancastError('not_found');
  return resourceSchema.parse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')));
}

/** The entity-tag that names the ICE session (RFC 9110 §8.8.3, strong). It never changes: there are no restarts. */
export function etagOf({ connection }: WhepResource): string {
  return `"${connection}"`;
}

function mac(body: string, secret: string): Buffer {
  return createHmac('sha256', secret).update(`humancast.whep.${body}`).digest();
}
