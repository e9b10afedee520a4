import type { SegmentSummary } from '@humancast/shared';
import type { Caller } from '../auth/access.js';

/**
 * Whether a caller who may speak in a session may say this segment of its avatar there. What was pushed into another session
 * is for that one: only the key that pushed it, or an operator, may say it again. Without a key, only what was made for this
 * session and what lies in the watched folder.
 */
export function isSpeakable(
  segment: Pick<SegmentSummary, 'source' | 'session' | 'owner'>,
  session: string,
  caller: Caller,
): boolean {
  if (segment.session === session) return true;
  if (caller.kind !== 'producer') return segment.source === 'library';
  return segment.session === undefined || segment.owner === caller.key.name || caller.key.has('operate');
}
