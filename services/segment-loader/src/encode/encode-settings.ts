import type { Avatar, LoaderConfig } from '@humancast/shared';
import type { EncodeSettings } from './encode-plan.js';

/** The service's settings, with what the avatar wants otherwise. */
export function encodeSettingsOf(avatar: Avatar, config: Pick<LoaderConfig, 'renditions' | 'gopMs'>): EncodeSettings {
  return { renditions: avatar.renditions ?? config.renditions, gopMs: config.gopMs, fps: avatar.fps };
}
