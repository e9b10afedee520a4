import { z } from 'zod';
import { HumancastError } from '../errors.js';
import { idSchema, slugSchema } from '../ids.js';
import { keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import type { Redis } from '../redis.js';
import {
  gopCount,
  manifestSchema,
  pcmChunkCount,
  type SegmentManifest,
  type SegmentSummary,
  segmentSummarySchema,
  storedBytes,
  summaryOf,
} from './manifest.js';
import type { MediaStore, Retention, SegmentParts, SegmentUsage } from './media-store.js';

/** Parts whose manifest never comes (the loader died) are gone after this long. */
const ORPHAN_TTL_SECONDS = 3600;

/**
 * As much of a stored manifest as is needed to keep, measure and delete a segment, which must work on one that another version
 * has stored, too. Retention is kept beside the manifest, so that a reader can renew it without knowing who loaded the segment.
 */
const storedManifestSchema = z.object({
  manifest: z.looseObject({
    id: idSchema,
    avatar: z.string(),
    frames: z.int().min(0),
    gopFrames: z.int().min(1),
    pcmSamples: z.int().min(0),
    renditions: z.array(z.looseObject({ id: slugSchema, bytes: z.number() })),
  }),
  ttlSeconds: z.number().nullable(),
});
type StoredManifest = z.infer<typeof storedManifestSchema>;

export class RedisMediaStore implements MediaStore {
  readonly #redis: Redis;

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  async writeGop(segment: string, rendition: string, index: number, gop: Buffer): Promise<void> {
    await orFull(this.#redis.set(keys.gop(segment, rendition, index), gop, 'EX', ORPHAN_TTL_SECONDS));
  }

  async writePcm(segment: string, index: number, pcm: Buffer): Promise<void> {
    await orFull(this.#redis.set(keys.pcm(segment, index), pcm, 'EX', ORPHAN_TTL_SECONDS));
  }

  async putManifest(manifest: SegmentManifest, retention: Retention): Promise<void> {
    const ttlSeconds = retention.pinned ? null : retention.ttlSeconds;
    const stored = { manifest: manifestSchema.parse(manifest), ttlSeconds };
    // Found only when it is complete, and never left without a time to live: parts, manifest, catalogue.
    await this.#applyTtl(stored);
    const lifetime = ttlSeconds === null ? [] : (['EX', ttlSeconds] as const);
    await orFull(this.#redis.set(keys.manifest(manifest.id), JSON.stringify(stored), ...(lifetime as ['EX', number])));
    await orFull(
      this.#redis.hset(keys.catalogue(manifest.avatar), manifest.id, JSON.stringify(summaryOf(stored.manifest))),
    );
  }

  async getManifest(segment: string): Promise<SegmentManifest | undefined> {
    const stored = await this.#stored(segment);
    return stored && requireRecord('segment', segment, manifestSchema, stored.manifest);
  }

  async readGop(segment: string, rendition: string, index: number): Promise<Buffer | undefined> {
    return (await this.#redis.getBuffer(keys.gop(segment, rendition, index))) ?? undefined;
  }

  async readPcm(segment: string, index: number): Promise<Buffer | undefined> {
    return (await this.#redis.getBuffer(keys.pcm(segment, index))) ?? undefined;
  }

  async isWhole(segment: string): Promise<boolean> {
    const stored = await this.#stored(segment);
    // One that cannot be read cannot be played: what loads it anew makes it whole.
    if (!stored || !readRecord('segment', segment, manifestSchema, stored.manifest)) return false;
    const parts = partKeys(stored.manifest);
    return parts.length === 0 || (await this.#redis.exists(...parts)) === parts.length;
  }

  async touch(segment: string): Promise<void> {
    const stored = await this.#stored(segment);
    if (stored && stored.ttlSeconds !== null) await this.#applyTtl(stored);
  }

  async usage(segment: string): Promise<SegmentUsage | undefined> {
    const [stored, leftSeconds] = await Promise.all([this.#stored(segment), this.#redis.ttl(keys.manifest(segment))]);
    if (!stored) return undefined;
    const { manifest, ttlSeconds } = stored;
    const bytes = storedBytes(manifest);
    if (ttlSeconds === null) return { bytes, retention: { pinned: true }, idleSeconds: 0 };
    return { bytes, retention: { pinned: false, ttlSeconds }, idleSeconds: Math.max(0, ttlSeconds - leftSeconds) };
  }

  async retain(segment: string, retention: Retention): Promise<boolean> {
    const manifest = await this.getManifest(segment);
    if (manifest) await this.putManifest(manifest, retention);
    return manifest !== undefined;
  }

  async delete(segment: string): Promise<boolean> {
    const stored = await this.#stored(segment);
    if (!stored) return (await this.#redis.unlink(keys.manifest(segment))) === 1;
    // The catalogue first: nobody finds what is about to go.
    await this.#redis.hdel(keys.catalogue(stored.manifest.avatar), segment);
    await this.#redis.unlink(keys.manifest(segment), ...partKeys(stored.manifest));
    return true;
  }

  async discardParts(parts: SegmentParts): Promise<void> {
    const names = partKeys(parts);
    if (names.length > 0) await this.#redis.unlink(...names);
  }

  async list(avatar: string): Promise<SegmentSummary[]> {
    const rows = await this.#redis.hgetall(keys.catalogue(avatar));
    const summaries = Object.entries(rows).flatMap(
      ([id, row]) => readRecord('segment', id, segmentSummarySchema, row) ?? [],
    );
    if (summaries.length === 0) return [];
    // Neither one command nor a pipeline: on a cluster the manifests lie on different nodes.
    const exists = await Promise.all(summaries.map(({ id }) => this.#redis.exists(keys.manifest(id))));
    const gone = summaries.filter((_, i) => exists[i] === 0).map(({ id }) => id);
    if (gone.length > 0) await this.#redis.hdel(keys.catalogue(avatar), ...gone);
    return summaries
      .filter((summary) => !gone.includes(summary.id))
      .sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
  }

  async getIdlePlaylist(avatar: string): Promise<string[]> {
    return this.#redis.lrange(keys.idlePlaylist(avatar), 0, -1);
  }

  async setIdlePlaylist(avatar: string, segments: readonly string[]): Promise<void> {
    const transaction = this.#redis.multi().del(keys.idlePlaylist(avatar));
    if (segments.length > 0) transaction.rpush(keys.idlePlaylist(avatar), ...segments);
    await orFull(transaction.exec());
  }

  async #stored(segment: string): Promise<StoredManifest | undefined> {
    const text = await this.#redis.get(keys.manifest(segment));
    return text === null ? undefined : readRecord('segment', segment, storedManifestSchema, text);
  }

  async #applyTtl({ manifest, ttlSeconds }: StoredManifest): Promise<void> {
    const pipeline = this.#redis.pipeline();
    for (const key of [keys.manifest(manifest.id), ...partKeys(manifest)]) {
      if (ttlSeconds === null) pipeline.persist(key);
      else pipeline.expire(key, ttlSeconds);
    }
    await pipeline.exec();
  }
}

function partKeys(manifest: SegmentParts): string[] {
  const gops = Array.from({ length: gopCount(manifest) }, (_, i) => i);
  const chunks = Array.from({ length: pcmChunkCount(manifest) }, (_, i) => i);
  return [
    ...manifest.renditions.flatMap((rendition) => gops.map((i) => keys.gop(manifest.id, rendition.id, i))),
    ...chunks.map((i) => keys.pcm(manifest.id, i)),
  ];
}

/** Passes a command's reply on, and says what Redis means by OOM. @throws HumancastError `media_store_full`. */
export async function orFull<T>(command: Promise<T>): Promise<T> {
  try {
    return await command;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('OOM')) {
      throw new HumancastError('media_store_full', {
        detail: 'redis-media has reached its memory ceiling; remove segments or raise maxmemory',
        cause: error,
      });
    }
    throw error;
  }
}
