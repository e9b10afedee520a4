import type { Codec } from '@humancast/protocol';

interface LadderRung {
  readonly codec: Codec;
  readonly bitrateBps: number;
}

/** Share of the bitrate for the base layer, which is every second frame. */
const BASE_SHARE = 2 / 3;

/**
 * @returns Libvpx options that make every second frame of a ladder's smallest VP8 rendition unreferenced, so that viewers
 * whose path is too narrow even for it receive only the others. Larger renditions keep their quality. `error-resilient`
 * keeps entropy contexts from depending on a skipped frame.
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
