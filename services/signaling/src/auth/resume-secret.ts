import { isSigned, type SigningKeys, sign } from '@humancast/shared';

interface Viewer {
  readonly session: string;
  readonly viewer: string;
}

/**
 * The secret with which a viewer comes back after its WebSocket was lost: a MAC over session and viewer (256 bits), so that
 * every signaling process can check it without a lookup. It has no expiry of its own: viewer ids are never used twice, and
 * it opens nothing once the registry has removed the viewer.
 */
export function resumeSecret(viewer: Viewer, keys: SigningKeys): string {
  return sign(statement(viewer), keys);
}

/** Compares in constant time, and believes all keys, so that a change of keys throws nobody out. */
export function isResumeSecret(text: string, viewer: Viewer, keys: SigningKeys): boolean {
  return isSigned(statement(viewer), text, keys);
}

/** The prefix keeps other signed texts (tokens, WHEP resources) from passing for one. Ids contain no dot. */
const statement = ({ session, viewer }: Viewer) => `humancast.resume.${session}.${viewer}`;
