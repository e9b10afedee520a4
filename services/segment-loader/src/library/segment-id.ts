import { createHash } from 'node:crypto';
import type { Composition } from '@humancast/protocol';
import type { EncodeSettings } from '../encode/encode-plan.js';
import type { MediaFile, SourceFile } from './media-file.js';

/** Version of the encoding; changing it makes all library files load again. */
const ENCODING_VERSION = 2;

/** Inputs that a file is merged with. */
export interface Merged {
  readonly composition: Composition;
  readonly layers: readonly SourceFile[];
}

/**
 * Computes the ID of a library file's segment. It is deterministic, so the segment is found again after a restart; it
 * changes with the file and its encoding, so that the former and the new segment can coexist.
 */
export function segmentIdOf(
  file: MediaFile,
  { renditions, gopMs, fps, loudness, alpha }: EncodeSettings,
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
    ...(alpha === undefined ? [] : [{ alpha }]),
    ...(merged ? [merged.composition, ...layers] : []),
  ];
  const identity = [ENCODING_VERSION, avatar, role, name, sizeBytes, modifiedMs, ...encoding];
  return `seg_${createHash('sha256').update(JSON.stringify(identity)).digest('base64url').slice(0, 22)}`;
}
