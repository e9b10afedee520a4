import { randomBytes } from 'node:crypto';
import type { Rational } from '@humancast/protocol';
import type { SegmentManifest } from '@humancast/shared';

/** Frame rates in use, from film to 60 fps, with the NTSC ones. */
export const FRAME_RATES: readonly Rational[] = [
  { num: 24_000, den: 1001 },
  { num: 24, den: 1 },
  { num: 25, den: 1 },
  { num: 30_000, den: 1001 },
  { num: 30, den: 1 },
  { num: 50, den: 1 },
  { num: 60_000, den: 1001 },
  { num: 60, den: 1 },
];

/** @returns The manifest of a complete segment: one second at 30 fps in one VP8 rendition, unless overridden. */
export function makeManifest(overrides: Partial<SegmentManifest> = {}): SegmentManifest {
  return {
    version: 1,
    id: `seg_${randomBytes(12).toString('base64url')}`,
    avatar: 'ann',
    name: 'hello.mp4',
    role: 'speech',
    source: 'upload',
    state: 'complete',
    createdAtMs: 1,
    fps: { num: 30, den: 1 },
    frames: 30,
    gopFrames: 30,
    pcmSamples: 24_000,
    durationSamples: 48_000,
    renditions: [{ id: 'vp8', codec: 'vp8', width: 64, height: 64, bitrateBps: 100_000, bytes: 1 }],
    markFrames: [],
    ...overrides,
  };
}
