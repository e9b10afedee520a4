import type { Avatar, Codec } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { h264LevelFor } from '../transport/h264-level.js';

/** Formats in which an avatar can be sent. */
export interface OfferedVideo {
  /** Codecs in order of preference. */
  readonly codecs: readonly Codec[];
  /** `level_idc` that covers all H.264 that may be sent. */
  readonly h264Level: number;
}

/** Frame rate assumed for an avatar without one of its own; each segment keeps its rate, up to this. */
const MAX_FPS = 60;

/** @param idle An idle clip of the avatar, which has the renditions of all its clips. Without one, VP8 is offered. */
export function offeredVideo(avatar: Avatar, idle: SegmentManifest | undefined): OfferedVideo {
  const codecs = idle?.renditions.map(({ codec }) => codec) ?? (['vp8'] as const);
  const fps = avatar.fps ? avatar.fps.num / avatar.fps.den : MAX_FPS;
  const configured = avatar.renditions?.map(({ codec, maxWidth, maxHeight, bitrateBps }) => ({
    codec,
    width: maxWidth,
    height: avatar.alpha ? 2 * maxHeight : maxHeight,
    bitrateBps,
  }));
  const renditions = [...(configured ?? []), ...(idle?.renditions ?? [])].filter(({ codec }) => codec === 'h264');
  return {
    codecs: [...new Set(codecs)],
    h264Level: h264LevelFor(renditions.map(({ width, height, bitrateBps }) => ({ width, height, bitrateBps, fps }))),
  };
}
