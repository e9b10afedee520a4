import { connectionIdSchema, idSchema } from '@humancast/protocol';
import { HumancastError, isSigned, type SigningKeys, sign } from '@humancast/shared';
import { z } from 'zod';

const resourceSchema = z.object({
  session: idSchema,
  viewer: idSchema,
  connection: connectionIdSchema,
  /** The ICE user name fragment of the player's first ICE session. */
  ufrag: z.string(),
  /** Whether the session was created for this player, and ends with it. */
  owned: z.boolean(),
});
export type WhepResource = z.infer<typeof resourceSchema>;

/**
 * Creates the id in a WHEP session URL. It carries everything needed to serve the session, signed, so that any signaling
 * process can serve it and nobody can forge one. Whether the viewer still exists is looked up in the registry.
 */
export function resourceId(resource: WhepResource, keys: SigningKeys): string {
  const body = Buffer.from(JSON.stringify(resource)).toString('base64url');
  return `${body}.${sign(signedText(body), keys)}`;
}

/** @throws HumancastError `not_found`, also for a format signed by another version and unknown here. */
export function parseResourceId(id: string, keys: SigningKeys): WhepResource {
  const [body = '', signature = ''] = id.split('.');
  if (!isSigned(signedText(body), signature, keys)) throw new HumancastError('not_found');
  const parsed = resourceSchema.safeParse(JSON.parse(Buffer.from(body, 'base64url').toString('utf8')));
  if (!parsed.success) throw new HumancastError('not_found');
  return parsed.data;
}

/**
 * @param current The ICE user name fragment of the player's current ICE session.
 * @returns The entity-tag of that ICE session (RFC 9110 §8.8.3, strong).
 */
export function etagOf({ connection, ufrag }: WhepResource, current = ufrag): string {
  return current === ufrag ? `"${connection}"` : `"${connection}.${current}"`;
}

const signedText = (body: string) => `humancast.whep.${body}`;
