import type { SegmentManifest } from '@humancast/shared';

/** A file as it was when scanned. */
export interface SourceFile {
  /** Name in its folder; of an idle clip of a named state with the state before it, as in `thinking/a.mp4`. */
  readonly name: string;
  /** Path of the file itself, with all links resolved. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Time of the last change of content or metadata; unlike `modifiedMs`, copying tools can't set it. */
  readonly changedMs: number;
}

/** A file of the watched folder that is to become a segment. */
export interface MediaFile extends SourceFile {
  readonly avatar: string;
  readonly role: SegmentManifest['role'];
}

/** Names of an avatar's folders, and the role of the files in them. */
export const ROLE_OF_FOLDER: Readonly<Record<string, SegmentManifest['role']>> = { idle: 'idle', segments: 'speech' };

/** Names of folders with the idle clips of a state, such as `idle.thinking`. */
export const STATE_FOLDER = /^idle\.([a-z0-9][a-z0-9_-]{0,63})$/i;

/** Folder within an avatar's folder with the layers of its composition, each named after its input. */
export const LAYERS_FOLDER = 'layers';

const collator = new Intl.Collator('en', { numeric: true });

/** Compares names in playing order: numbers in names count as numbers ("2" before "10"). */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return collator.compare(a.name, b.name) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
