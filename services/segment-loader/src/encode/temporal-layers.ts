import type { Codec } from '@humancast/protocol';

interface LadderRung {
  readonly codec: Codec;
  readonly bitrateBps: number;
}

/** Share of the bitrate that the base layer takes, every second frame. */
const BASE_SHARE = 2 / 3;

/**
 * @returns libvpx's options that make every second frame one that no other needs, for a ladder's smallest VP8 rendition: viewers on
 * paths that are too narrow even for that are sent the others. The larger ones keep their quality. Frames keep no probabilities
 * either, which is what `error-resilient` is for.
 */
export function temporalLayers(
  rendition: LadderRung,
  renditions: readonly LadderRung[],
): Readonly<Record<string, string>> {
  const ladder = renditions.filter(({ codec }) => codec === 'vp8');
  const isSmallest = ladder.every(({ bitrateBps }) => bitrateBps >= rendition.bitrateBps);
  if (rendition.codec !== 'vp8' || ladder.length < 2 || !isSmallest) return {};
  const kbps = rendition.bitrateBps / 1000;
  return {
    'ts-parameters': `ts_target_bitrate=${Math.round(kbps * BASE_SHARE)},${Math.round(kbps)}:ts_layering_mode=2`,
    'error-resilient': 'default',
  };
}
