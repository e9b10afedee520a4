import { HumancastError, type RenditionConfig } from '@humancast/shared';
import type { VideoTrack } from '../probe/media-info.js';

/** One macroblock; smaller pictures trip decoders. */
const MIN_SIDE = 16;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** The picture as it is to be seen: upright, with square pixels. */
export function displaySize(video: VideoTrack): Size {
  const wide = { width: (video.width * video.pixelAspect.num) / video.pixelAspect.den, height: video.height };
  const quarterTurns = Math.round(Math.abs(video.rotationDegrees) / 90);
  return quarterTurns % 2 === 1 ? { width: wide.height, height: wide.width } : wide;
}

/**
 * The size of a rendition: the whole picture in its proportions, inside the rendition's largest size, never enlarged, both
 * sides even (4:2:0 halves them).
 * @throws HumancastError `media_too_small` when a side would be below 16.
 */
export function renditionSize(display: Size, limits: Pick<RenditionConfig, 'maxWidth' | 'maxHeight'>): Size {
  const scale = Math.min(1, limits.maxWidth / display.width, limits.maxHeight / display.height);
  const size = {
    width: Math.min(even(display.width * scale), evenBelow(limits.maxWidth)),
    height: Math.min(even(display.height * scale), evenBelow(limits.maxHeight)),
  };
  if (size.width < MIN_SIDE || size.height < MIN_SIDE) {
    throw new HumancastError('media_too_small', {
      detail: `the picture would be encoded at ${size.width}×${size.height}; each side must be at least ${MIN_SIDE}`,
      extra: { ...size, minSide: MIN_SIDE },
    });
  }
  return size;
}

/** The nearest even number, down when it lies between two. */
function even(length: number): number {
  return 2 * Math.ceil(length / 2 - 0.5);
}

function evenBelow(limit: number): number {
  return 2 * Math.floor(limit / 2);
}
