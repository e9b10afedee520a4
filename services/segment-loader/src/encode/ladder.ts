import type { Alpha, MissingRendition, RenditionConfig } from '@humancast/protocol';
import { renditionSize } from './video-size.js';

interface Rung extends Pick<RenditionConfig, 'codec' | 'maxWidth' | 'maxHeight' | 'bitrateBps'> {}

export interface SplitLadder<R extends Rung> {
  /** Renditions without which a segment cannot be played: the first of each codec, and what is not made from it. */
  readonly first: readonly R[];
  /** Renditions that are made from the stored first one of their codec. */
  readonly later: readonly R[];
}

/**
 * Splits renditions into those that a load encodes and those that follow. The rendition with the largest bitrate of a codec
 * comes first, because most viewers are sent it.
 */
export function splitLadder<R extends Rung>(renditions: readonly R[]): SplitLadder<R> {
  const later = new Set(
    renditions.filter((each) => {
      const top = topOf(renditions, each.codec);
      return each !== top && top !== undefined && contains(top, each);
    }),
  );
  return { first: renditions.filter((each) => !later.has(each)), later: [...later] };
}

/** @returns The rendition of a codec with the largest bitrate. */
export function topOf<R extends Pick<Rung, 'codec' | 'bitrateBps'>>(
  renditions: readonly R[],
  codec: Rung['codec'],
): R | undefined {
  return renditions.filter((each) => each.codec === codec).toSorted((a, b) => b.bitrateBps - a.bitrateBps)[0];
}

/** @returns A later rendition with the size that it has when it is made from a first one. @throws HumancastError `media_too_small`. */
export function missingRendition(
  config: RenditionConfig,
  { alpha, ...top }: Pick<MissingRendition, 'width' | 'height'> & { readonly alpha?: Alpha | undefined },
): MissingRendition {
  const { id, codec, bitrateBps } = config;
  if (!alpha) return { id, codec, bitrateBps, ...renditionSize(top, config) };
  const { width, height } = renditionSize({ width: top.width, height: top.height / 2 }, config);
  return { id, codec, alpha, bitrateBps, width, height: 2 * height };
}

/** Boxes turn with the video. */
function contains(outer: Rung, inner: Rung): boolean {
  const [outerLong, outerShort] = sides(outer);
  const [innerLong, innerShort] = sides(inner);
  return innerLong <= outerLong && innerShort <= outerShort;
}

function sides({ maxWidth, maxHeight }: Rung): readonly [number, number] {
  return [Math.max(maxWidth, maxHeight), Math.min(maxWidth, maxHeight)];
}
