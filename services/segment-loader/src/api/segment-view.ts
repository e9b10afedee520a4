import type { LoadingSegment, Rational, Segment, SegmentListEntry } from '@humancast/protocol';
import { type SegmentManifest, type SegmentSummary, samplesToMs } from '@humancast/shared';
import type { LibraryLoad } from '../library/library.js';
import type { UploadState } from '../upload/uploads.js';

/** @param pinned Whether the segment is kept until it is deleted. */
export function segmentView(manifest: SegmentManifest, pinned: boolean): Segment {
  const { id, avatar, name, role, source, state, failure, frames, gopFrames, pcmSamples } = manifest;
  const { renditions, missingRenditions } = manifest;
  return {
    id,
    avatar,
    name,
    role,
    source,
    state,
    progress: 1,
    pinned,
    createdAt: timeOf(manifest.createdAtMs),
    durationMs: durationMsOf(manifest),
    frames,
    fps: rateOf(manifest.fps),
    gopFrames,
    pcmSamples,
    renditions,
    ...(manifest.text && { text: manifest.text }),
    ...(missingRenditions && { missingRenditions }),
    ...(failure ? { failure } : {}),
  };
}

export function summaryView(summary: SegmentSummary): SegmentListEntry {
  const { id, avatar, name, role, source, state } = summary;
  const createdAt = timeOf(summary.createdAtMs);
  return { id, avatar, name, role, source, state, createdAt, durationMs: durationMsOf(summary) };
}

/** Describes an upload that is being loaded, or has failed. */
export function uploadView({ id, avatar, name, createdAtMs, progress, failure }: UploadState): LoadingSegment {
  return {
    id,
    avatar,
    name,
    role: 'speech',
    source: 'upload',
    state: failure ? 'failed' : 'open',
    progress,
    createdAt: timeOf(createdAtMs),
    ...(failure ? { failure: { code: failure.code, message: failure.message, ...failure.extra } } : {}),
  };
}

/** Describes a library file that is being loaded. */
export function libraryLoadView({ avatar, role, name, segment, progress }: LibraryLoad): LoadingSegment {
  return { id: segment, avatar, name, role, source: 'library', state: 'open', progress };
}

function durationMsOf({ durationSamples }: { readonly durationSamples: number }): number {
  return Math.round(samplesToMs(durationSamples) * 1000) / 1000;
}

/** Formats a frame rate, for example "30" or "30000/1001". */
function rateOf({ num, den }: Rational): string {
  return den === 1 ? String(num) : `${num}/${den}`;
}

function timeOf(wallMs: number): string {
  return new Date(wallMs).toISOString();
}
