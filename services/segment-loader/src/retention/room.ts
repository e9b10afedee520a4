import { HumancastError, PCM_RATE, PCM_SAMPLE_BYTES } from '@humancast/shared';

/** @returns The expected size of a segment of this length in bytes, from its bitrates. */
export function expectedBytes(renditions: readonly { readonly bitrateBps: number }[], seconds: number): number {
  const video = renditions.reduce((sum, { bitrateBps }) => sum + bitrateBps / 8, 0);
  return Math.ceil(seconds * (video + PCM_RATE * PCM_SAMPLE_BYTES));
}

export function noRoom(): HumancastError {
  return new HumancastError(
    'media_store_full',
    'all segments in the media store are pinned, queued or in use; delete or unpin segments, or raise MEDIA_QUOTA_BYTES',
  );
}
