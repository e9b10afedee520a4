import type { SegmentSummary } from '@humancast/shared';
import { byName, type MediaFile } from './media-file.js';

/** A file that is to be a segment, under the id that its present content has. */
export interface WantedSegment {
  readonly id: string;
  readonly file: MediaFile;
  /** Not while it is still growing. */
  readonly settled: boolean;
}

/** What the media store holds of the library. */
export type StoredSegment = Pick<SegmentSummary, 'id' | 'role' | 'name'> & { readonly whole: boolean };

export interface Reconciliation {
  readonly load: readonly WantedSegment[];
  /** Ids of segments whose file has gone, or has been replaced. */
  readonly unload: readonly string[];
  /** The idle playlist: in the order of the playlist file, or else of the files' names. */
  readonly idle: readonly string[];
}

/**
 * What has to happen so that one avatar's library in the media store is its folder again. Keeps nothing in mind: the same
 * answer after a restart, a flush, or an hour of silence.
 *
 * A file that changed keeps its former segment, in the playlist too, until the new one is whole; also when the new content
 * turns out to be unusable.
 * @param playlist names of idle files in playing order, where there is a playlist file; files it doesn't name are not played, and
 * one that names none of them counts for nothing.
 */
export function reconcile(
  wanted: readonly WantedSegment[],
  stored: readonly StoredSegment[],
  playlist: readonly string[] = [],
): Reconciliation {
  const wholeIds = new Set(stored.filter((segment) => segment.whole).map((segment) => segment.id));
  const wantedIds = new Set(wanted.map((segment) => segment.id));
  const former = new Map<string, string>();
  for (const segment of stored) {
    if (segment.whole && !wantedIds.has(segment.id)) former.set(slotOf(segment.role, segment.name), segment.id);
  }
  const serving = wanted.flatMap(({ id, file }) => {
    const serves = wholeIds.has(id) ? id : former.get(slotOf(file.role, file.name));
    return serves === undefined ? [] : [{ id: serves, role: file.role, name: file.name }];
  });
  const kept = new Set(serving.map((segment) => segment.id));
  return {
    load: wanted.filter(({ id, settled }) => settled && !wholeIds.has(id)),
    unload: stored.map(({ id }) => id).filter((id) => !kept.has(id) && !wantedIds.has(id)),
    idle: inOrder(
      serving.filter((segment) => segment.role === 'idle'),
      playlist,
    ),
  };
}

function inOrder(idle: readonly { id: string; name: string }[], playlist: readonly string[]): string[] {
  const idOf = new Map(idle.map(({ id, name }) => [name, id]));
  const listed = [...new Set(playlist)].flatMap((name) => idOf.get(name) ?? []);
  return listed.length > 0 ? listed : idle.toSorted(byName).map(({ id }) => id);
}

/** A place in the folder: what file is there may change. */
function slotOf(role: SegmentSummary['role'], name: string): string {
  return `${role}/${name}`;
}
