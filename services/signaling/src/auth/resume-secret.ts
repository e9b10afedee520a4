import { isSigned, type SigningKeys, sign } from '@humancast/shared';

interface Viewer {
  readonly session: string;
  readonly viewer: string;
}

/**
 * Creates the secret with which a viewer resumes after its WebSocket was lost: a MAC over session and viewer (256 bits), so
 * that every signaling process can check it without a lookup. It does not expire: viewer ids are never reused, and it is
 * worthless once the registry has removed the viewer.
 */
export function resumeSecret(viewer: Viewer, keys: SigningKeys): string {
  return sign(statement(viewer), keys);
}

/** Compares in constant time with all keys, so that key rotation disconnects nobody. */
export function isResumeSecret(text: string, viewer: Viewer, keys: SigningKeys): boolean {
  return isSigned(statement(viewer), text, keys);
}

/** The prefix separates these from other signed texts (tokens, WHEP resources). Ids contain no dot. */
const statement = ({ session, viewer }: Viewer) => `humancast.resume.${session}.${viewer}`;
