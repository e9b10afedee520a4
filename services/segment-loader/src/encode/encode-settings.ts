import type { Avatar } from '@humancast/protocol';
import type { LoaderConfig } from '@humancast/shared';
import type { EncodeSettings } from './encode-plan.js';

/** What an upload may say about its loudness: a target, LUFS, or that it keeps its level whatever the avatar wants. */
export type LoudnessChoice = number | 'off' | undefined;

/** The service's settings, with what the avatar wants otherwise, and what the upload wants otherwise than the avatar. */
export function encodeSettingsOf(
  avatar: Avatar,
  config: Pick<LoaderConfig, 'renditions' | 'gopMs'>,
  loudness: LoudnessChoice = avatar.loudness,
): EncodeSettings {
  return {
    renditions: avatar.renditions ?? config.renditions,
    gopMs: config.gopMs,
    fps: avatar.fps,
    loudness: loudness === 'off' ? undefined : loudness,
  };
}

/** Settings of a library file: the room that is heard between words keeps its level. */
export function librarySettingsOf(
  avatar: Avatar,
  config: Pick<LoaderConfig, 'renditions' | 'gopMs'>,
  role: 'idle' | 'speech',
): EncodeSettings {
  return encodeSettingsOf(avatar, config, role === 'idle' ? 'off' : avatar.loudness);
}
