import type { Avatar } from '@humancast/protocol';
import type { LoaderConfig } from '@humancast/shared';
import type { EncodeSettings } from './encode-plan.js';

/** An upload's loudness: a target in LUFS, or `off` to keep its level regardless of the avatar's setting. */
export type LoudnessChoice = number | 'off' | undefined;

/**
 * Merges the settings of service, avatar and upload; the upload's take precedence over the avatar's, those over the
 * service's.
 */
export function encodeSettingsOf(
  avatar: Avatar,
  config: Pick<LoaderConfig, 'renditions' | 'gopMs'>,
  loudness: LoudnessChoice = avatar.loudness,
): EncodeSettings {
  return {
    renditions: avatar.renditions ?? config.renditions,
    gopMs: config.gopMs,
    fps: avatar.fps,
    alpha: avatar.alpha,
    loudness: loudness === 'off' ? undefined : loudness,
  };
}

/**
 * @returns The settings of a library file. Idle clips keep their level, because it is that of the background between
 * utterances.
 */
export function librarySettingsOf(
  avatar: Avatar,
  config: Pick<LoaderConfig, 'renditions' | 'gopMs'>,
  role: 'idle' | 'speech',
): EncodeSettings {
  return encodeSettingsOf(avatar, config, role === 'idle' ? 'off' : avatar.loudness);
}
