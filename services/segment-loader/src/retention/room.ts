import { HumancastError, PCM_RATE, PCM_SAMPLE_BYTES } from '@humancast/shared';

/** What a segment of such a length will take up, as its encoders were asked. */
export function expectedBytes(renditions: readonly { readonly bitrateBps: number }[], seconds: number): number {
  const video = renditions.reduce((sum, { bitrateBps }) => sum + bitrateBps / 8, 0);
  return Math.ceil(seconds * (video + PCM_RATE * PCM_SAMPLE_BYTES));
}

export function noRoom(): HumancastError {
  return new HumancastError(
    'media_store_full',
    'all that is in the media store is pinned, queued, or was just used; remove or unpin segments, or raise MEDIA_QUOTA_BYTES',
  );
}
