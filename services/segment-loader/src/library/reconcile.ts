import type { IdleStates, SegmentSummary } from '@humancast/shared';
import { byName, type MediaFile } from './media-file.js';

/** A file that is to become a segment, with the ID of its current content. */
export interface DesiredSegment {
  readonly id: string;
  readonly file: MediaFile;
  /** `false` while the file may still be growing. */
  readonly settled: boolean;
}

/** A library segment in the media store. */
export type StoredSegment = Pick<SegmentSummary, 'id' | 'role' | 'name'> & { readonly complete: boolean };

export interface Reconciliation {
  readonly load: readonly DesiredSegment[];
  /** IDs of segments whose file was removed or replaced. */
  readonly unload: readonly string[];
  /** Idle playlist in the order of the playlist file, or else by file name. */
  readonly idle: readonly string[];
  /** The idle playlists of the named states, likewise. */
  readonly states: IdleStates;
}

/**
 * Computes the actions that make one avatar's library segments equal to its folder. The function is stateless, so its result
 * is the same after a restart or a flush.
 *
 * The former segment of a changed file stays, also in the playlist, until the new one is complete, even if the new content
 * turns out to be unusable.
 * @param playlist Names of idle files in playing order; files not named are not played, and a playlist that names no
 * existing file is ignored.
 * @param playlistOf The same for the clips of a named state.
 */
export function reconcile(
  desired: readonly DesiredSegment[],
  stored: readonly StoredSegment[],
  playlist: readonly string[] = [],
  playlistOf: (state: string) => readonly string[] | undefined = () => undefined,
): Reconciliation {
  const completeIds = new Set(stored.filter((segment) => segment.complete).map((segment) => segment.id));
  const desiredIds = new Set(desired.map((segment) => segment.id));
  const former = new Map<string, string>();
  for (const segment of stored) {
    if (segment.complete && !desiredIds.has(segment.id)) former.set(slotOf(segment.role, segment.name), segment.id);
  }
  const serving = desired.flatMap(({ id, file }) => {
    const serves = completeIds.has(id) ? id : former.get(slotOf(file.role, file.name));
    return serves === undefined ? [] : [{ id: serves, role: file.role, name: file.name }];
  });
  const kept = new Set(serving.map((segment) => segment.id));
  const idle = Map.groupBy(
    serving.filter((segment) => segment.role === 'idle'),
    ({ name }) => stateOf(name),
  );
  return {
    load: desired.filter(({ id, settled }) => settled && !completeIds.has(id)),
    unload: stored.map(({ id }) => id).filter((id) => !kept.has(id) && !desiredIds.has(id)),
    idle: inOrder(idle.get('') ?? [], playlist),
    states: Object.fromEntries(
      [...idle]
        .filter(([state]) => state !== '')
        .map(([state, clips]) => [state, inOrder(clips, playlistOf(state) ?? [])]),
    ),
  };
}

/** @returns The state of an idle clip; empty without one. */
function stateOf(name: string): string {
  return name.includes('/') ? name.slice(0, name.indexOf('/')) : '';
}

function inOrder(idle: readonly { id: string; name: string }[], playlist: readonly string[]): string[] {
  const idOf = new Map(idle.map(({ id, name }) => [name, id]));
  const listed = [...new Set(playlist)].flatMap((name) => idOf.get(name) ?? []);
  return listed.length > 0 ? listed : idle.toSorted(byName).map(({ id }) => id);
}

/** @returns The key of a place in the folder, whatever file is there. */
function slotOf(role: SegmentSummary['role'], name: string): string {
  return `${role}/${name}`;
}
