import type { SegmentSummary } from '@humancast/shared';
import type { Caller } from '../auth/access.js';

/**
 * @returns Whether a caller that may speak in a session may use this segment of its avatar there. A segment pushed into
 * another session may be reused only by the key that pushed it, or by an operator. Callers without a key may use segments
 * made for this session and those of the watched folder.
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
