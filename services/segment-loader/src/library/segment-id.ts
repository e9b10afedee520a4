import { createHash } from 'node:crypto';
import type { Composition } from '@humancast/protocol';
import type { EncodeSettings } from '../encode/encode-plan.js';
import type { MediaFile, SourceFile } from './media-file.js';

/** Changes when the same file would be encoded differently than before; then libraries are loaded anew. */
const ENCODING_VERSION = 2;

/** What a file is merged with. */
export interface Merged {
  readonly composition: Composition;
  readonly layers: readonly SourceFile[];
}

/**
 * The id of a library file's segment: the same for the same file and settings, so that after a restart it is found in the
 * media store; another as soon as the file or how it is encoded changes, so that both can be there during the change.
 */
export function segmentIdOf(
  file: MediaFile,
  { renditions, gopMs, fps, loudness }: EncodeSettings,
  merged?: Merged,
): string {
  const { avatar, role, name, sizeBytes, modifiedMs } = file;
  const encodings = renditions.map((r) => [r.id, r.codec, r.maxWidth, r.maxHeight, r.bitrateBps]);
  const layers = merged?.layers.map((layer) => [layer.name, layer.sizeBytes, layer.modifiedMs]) ?? [];
  const encoding = [
    encodings,
    gopMs,
    fps?.num,
    fps?.den,
    ...(loudness === undefined ? [] : [{ loudness }]),
    ...(merged ? [merged.composition, ...layers] : []),
  ];
  const identity = [ENCODING_VERSION, avatar, role, name, sizeBytes, modifiedMs, ...encoding];
  return `seg_${createHash('sha256').update(JSON.stringify(identity)).digest('base64url').slice(0, 22)}`;
}
