import type { Avatar, Codec } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';
import { h264LevelFor } from '../transport/h264-level.js';

/** What an avatar can be sent as. */
export interface OfferedVideo {
  /** In order of preference. */
  readonly codecs: readonly Codec[];
  /** The level of what may be sent as H.264, `level_idc`. */
  readonly h264Level: number;
}

/** Frames a second of an avatar without a rate of its own: each segment keeps its own, up to this. */
const MAX_FPS = 60;

/** @param idle a clip of the avatar, which is encoded as everything of it is; without one, the usual is offered. */
export function offeredVideo(avatar: Avatar, idle: SegmentManifest | undefined): OfferedVideo {
  const codecs = idle?.renditions.map(({ codec }) => codec) ?? (['vp8'] as const);
  const fps = avatar.fps ? avatar.fps.num / avatar.fps.den : MAX_FPS;
  const configured = avatar.renditions?.map(({ codec, maxWidth, maxHeight, bitrateBps }) => ({
    codec,
    width: maxWidth,
    height: maxHeight,
    bitrateBps,
  }));
  const renditions = [...(configured ?? []), ...(idle?.renditions ?? [])].filter(({ codec }) => codec === 'h264');
  return {
    codecs: [...new Set(codecs)],
    h264Level: h264LevelFor(renditions.map(({ width, height, bitrateBps }) => ({ width, height, bitrateBps, fps }))),
  };
}
