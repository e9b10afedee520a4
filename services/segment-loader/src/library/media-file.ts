import type { SegmentManifest } from '@humancast/shared';

/** A file, as it was when it was looked at. */
export interface SourceFile {
  /** The file's name in its folder. */
  readonly name: string;
  /** Where the file itself is, all links followed. */
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Last change of content or metadata; unlike `modifiedMs`, copying tools can't set it. */
  readonly changedMs: number;
}

/** One of the watched folder that is to be a segment. */
export interface MediaFile extends SourceFile {
  readonly avatar: string;
  readonly role: SegmentManifest['role'];
}

/** The folders of an avatar, and what is made of the files in them. */
export const ROLE_OF_FOLDER: Readonly<Record<string, SegmentManifest['role']>> = { idle: 'idle', segments: 'speech' };

/** In an avatar's folder: what its composition merges with every segment, each named as its input is. */
export const LAYERS_FOLDER = 'layers';

const collator = new Intl.Collator('en', { numeric: true });

/** The order idle clips play in: by name, with numbers in names counted ("2" before "10"). */
export function byName(a: { readonly name: string }, b: { readonly name: string }): number {
  return collator.compare(a.name, b.name) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}
