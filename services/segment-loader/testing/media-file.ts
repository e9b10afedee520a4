import type { MediaFile } from '../src/library/media-file.js';

export function mediaFile(overrides: Partial<MediaFile> = {}): MediaFile {
  const name = overrides.name ?? 'clip.mp4';
  return {
    avatar: 'demo',
    role: 'idle',
    name,
    path: `/media/demo/${overrides.role ?? 'idle'}/${name}`,
    sizeBytes: 1000,
    modifiedMs: 1_000_000,
    changedMs: 1_000_000,
    ...overrides,
  };
}
