import { keys } from '../src/keys.js';
import type { SegmentManifest } from '../src/media/manifest.js';
import type { Redis } from '../src/redis.js';

/** Changes what Redis has of a segment's manifest, and of its entry in the avatar's list. */
export async function rewriteManifest(
  redis: Redis,
  { id, avatar }: SegmentManifest,
  changes: Readonly<Record<string, unknown>>,
): Promise<void> {
  const stored = JSON.parse((await redis.get(keys.manifest(id))) ?? '') as { manifest: object };
  const manifest = { ...stored.manifest, ...changes };
  await redis.set(keys.manifest(id), JSON.stringify({ ...stored, manifest }), 'KEEPTTL');
  const summary = JSON.parse((await redis.hget(keys.segmentList(avatar), id)) ?? '') as object;
  await redis.hset(keys.segmentList(avatar), id, JSON.stringify({ ...summary, ...changes }));
}
