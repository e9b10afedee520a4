import { type RenditionConfig } from '@humancast/protocol';
import { HumancastError } from '@humancast/shared';
import type { VideoTrack } from '../probe/media-info.js';

/** Minimum side, one macroblock; decoders fail on smaller video. */
const MIN_SIDE = 16;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** @returns The displayed size: upright, with square pixels. */
export function displaySize(video: VideoTrack): Size {
  const wide = { width: (video.width * video.pixelAspect.num) / video.pixelAspect.den, height: video.height };
  return video.orientation > 4 ? { width: wide.height, height: wide.width } : wide;
}

/**
 * Computes the size of a rendition: the whole video in its proportions, inside the rendition's box, never enlarged, both
 * sides even (4:2:0 halves them). The box turns with the video: 1280×720 means 720×1280 for a portrait one, which costs as
 * much.
 * @throws HumancastError `media_too_small` if a side would be below 16.
 */
export function renditionSize(display: Size, limits: Pick<RenditionConfig, 'maxWidth' | 'maxHeight'>): Size {
  const box = turnedBox(display, limits);
  const scale = Math.min(1, box.width / display.width, box.height / display.height);
  const size = {
    width: Math.min(even(display.width * scale), evenBelow(box.width)),
    height: Math.min(even(display.height * scale), evenBelow(box.height)),
  };
  if (size.width < MIN_SIDE || size.height < MIN_SIDE) {
    throw new HumancastError('media_too_small', {
      detail: `the video would be encoded at ${size.width}×${size.height}; each side must be at least ${MIN_SIDE}`,
      extra: { ...size, minSide: MIN_SIDE },
    });
  }
  return size;
}

function turnedBox(display: Size, { maxWidth, maxHeight }: Pick<RenditionConfig, 'maxWidth' | 'maxHeight'>): Size {
  const long = Math.max(maxWidth, maxHeight);
  const short = Math.min(maxWidth, maxHeight);
  return display.height > display.width ? { width: short, height: long } : { width: long, height: short };
}

/** @returns The nearest even number; the lower one for a tie. */
function even(length: number): number {
  return 2 * Math.ceil(length / 2 - 0.5);
}

function evenBelow(limit: number): number {
  return 2 * Math.floor(limit / 2);
}
