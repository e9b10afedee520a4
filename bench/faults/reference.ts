import { createHash } from 'node:crypto';
import { RedisMediaStore, unpackGop } from '@humancast/shared';
import { Redis } from 'ioredis';
import type { ReferenceClip } from './playback-log.ts';

/** Reads the frames of a segment that viewers should receive from redis-media. @throws Error if two are equal. */
export async function referenceOf(mediaUrl: string, segment: string): Promise<ReferenceClip> {
  const redis = new Redis(mediaUrl);
  try {
    const store = new RedisMediaStore(redis);
    const manifest = await store.getManifest(segment);
    const rendition = manifest?.renditions[0];
    if (!manifest || !rendition) throw new Error(`no segment ${segment}`);
    const frames = new Map<string, number>();
    for (let i = 0; i * manifest.gopFrames < manifest.frames; i++) {
      const gop = await store.readGop(segment, rendition.id, i);
      for (const { data } of gop ? unpackGop(gop) : []) {
        frames.set(createHash('sha1').update(data).digest('base64'), frames.size);
      }
    }
    if (frames.size !== manifest.frames) throw new Error('two frames of the segment are equal');
    return { frames, gopFrames: manifest.gopFrames, fps: manifest.fps.num / manifest.fps.den };
  } finally {
    redis.disconnect();
  }
}
