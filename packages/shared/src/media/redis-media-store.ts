import { idSchema, type MissingRendition, type Rendition, slugSchema } from '@humancast/protocol';
import { z } from 'zod';
import { HumancastError } from '../humancast-error.js';
import { keys } from '../keys.js';
import { readRecord, requireRecord } from '../records/read-record.js';
import { type Redis, runScript } from '../redis.js';
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
import type { IdleStates, MediaStore, Retention, SegmentParts, SegmentUsage } from './media-store.js';

/** TTL of parts without a manifest, because the loader died, s. */
const ORPHAN_TTL_SECONDS = 3600;

/** Longer than any load or live push that was in progress when its segment was deleted, s. */
const FORBIDDEN_TTL_SECONDS = 86_400;
/** Parts of an open segment are probed in runs of this many indices, because its manifest does not count them yet. */
const PROBED_PARTS = 64;

/** KEYS: manifest, deletion mark. ARGV: JSON, TTL in seconds ('' = none). @returns 0 if the segment was deleted. */
const PUT_MANIFEST = `
if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
if ARGV[2] == '' then redis.call('SET', KEYS[1], ARGV[1])
else redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
return 1`;

/** KEYS: manifest. ARGV: JSON as read, new JSON. The TTL stays. @returns 0 if the manifest is another one by now. */
const REPLACE_MANIFEST = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')
return 1`;
/** Attempts to replace a manifest that others change at the same time. */
const REPLACE_ATTEMPTS = 5;

/**
 * The part of a stored manifest that is needed to keep, measure and delete a segment, even one of another version. Retention
 * is stored beside the manifest, so that a reader can renew it without knowing who loaded the segment.
 */
const storedManifestSchema = z.object({
  manifest: z.looseObject({
    id: idSchema,
    avatar: z.string(),
    state: z.string().optional(),
    frames: z.int().min(0),
    gopFrames: z.int().min(1),
    pcmSamples: z.int().min(0),
    renditions: z.array(z.looseObject({ id: slugSchema, bytes: z.number() })),
  }),
  ttlSeconds: z.number().nullable(),
});
const idleStateSchema = z.array(idSchema);
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
    // Visible only when complete, and never without a TTL: parts, manifest, list entry.
    await this.#applyTtl(stored);
    const names = [keys.manifest(manifest.id), keys.forbidden(manifest.id)];
    const taken = await orFull(runScript(this.#redis, PUT_MANIFEST, names, JSON.stringify(stored), ttlSeconds ?? ''));
    if (taken !== 1) throw new HumancastError('segment_not_found', `the segment ${manifest.id} was deleted`);
    await orFull(
      this.#redis.hset(keys.segmentList(manifest.avatar), manifest.id, JSON.stringify(summaryOf(stored.manifest))),
    );
  }

  async putRenditions(
    segment: string,
    stored: readonly Rendition[],
    failed: readonly MissingRendition[] = [],
  ): Promise<SegmentManifest | undefined> {
    const settled = new Set([...stored, ...failed].map(({ id }) => id));
    for (let attempt = 1; attempt <= REPLACE_ATTEMPTS; attempt++) {
      const text = await this.#redis.get(keys.manifest(segment));
      if (text === null) return undefined;
      const record = requireRecord('segment', segment, storedManifestSchema, text);
      const before = requireRecord('segment', segment, manifestSchema, record.manifest);
      const missing = [...(before.missingRenditions ?? []).filter(({ id }) => !settled.has(id)), ...failed];
      const { missingRenditions: _, ...rest } = before;
      const manifest: SegmentManifest = {
        ...rest,
        renditions: [...before.renditions.filter(({ id }) => !settled.has(id)), ...stored],
        ...(missing.length > 0 && { missingRenditions: missing }),
      };
      const changed = { manifest, ttlSeconds: record.ttlSeconds };
      // Like {@link putManifest}, parts first. A pin that was set meanwhile is seen by the next attempt.
      await this.#applyTtl(changed);
      const names = [keys.manifest(segment)];
      if ((await orFull(runScript(this.#redis, REPLACE_MANIFEST, names, text, JSON.stringify(changed)))) !== 1)
        continue;
      const entry = JSON.stringify(summaryOf(manifest));
      await orFull(this.#redis.hset(keys.segmentList(manifest.avatar), segment, entry));
      return manifest;
    }
    throw new Error(`the manifest of ${segment} changes too often`);
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

  async hasAllParts(segment: string): Promise<boolean> {
    const stored = await this.#stored(segment);
    // An unreadable one cannot be played; reloading replaces it.
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
    if (!stored) return (await this.#redis.unlink(keys.manifest(segment), keys.live(segment))) > 0;
    const { manifest } = stored;
    // The list entry first, so that nobody finds what is being removed.
    await this.#redis.hdel(keys.segmentList(manifest.avatar), segment);
    if (manifest.state === 'open') await this.#discardUncounted(manifest);
    await this.#redis.unlink(keys.manifest(segment), keys.live(segment), ...partKeys(manifest));
    return true;
  }

  async forbid(segment: string): Promise<void> {
    await orFull(this.#redis.set(keys.forbidden(segment), '1', 'EX', FORBIDDEN_TTL_SECONDS));
  }

  async ids(avatar: string): Promise<string[]> {
    return this.#redis.hkeys(keys.segmentList(avatar));
  }

  async secondsLeft(segments: readonly string[]): Promise<(number | undefined)[]> {
    // Neither one command nor a pipeline: on a cluster the manifests lie on different nodes.
    const left = await Promise.all(segments.map((segment) => this.#redis.ttl(keys.manifest(segment))));
    return left.map((seconds) => (seconds === -2 ? undefined : seconds === -1 ? Number.POSITIVE_INFINITY : seconds));
  }

  async discardParts(parts: SegmentParts): Promise<void> {
    const names = partKeys(parts);
    if (names.length > 0) await this.#redis.unlink(...names);
  }

  async list(avatar: string): Promise<SegmentSummary[]> {
    const rows = await this.#redis.hgetall(keys.segmentList(avatar));
    const summaries = Object.entries(rows).flatMap(
      ([id, row]) => readRecord('segment', id, segmentSummarySchema, row) ?? [],
    );
    if (summaries.length === 0) return [];
    // Neither one command nor a pipeline: on a cluster the manifests lie on different nodes.
    const exists = await Promise.all(summaries.map(({ id }) => this.#redis.exists(keys.manifest(id))));
    const expired = summaries.filter((_, i) => exists[i] === 0).map(({ id }) => id);
    if (expired.length > 0) await this.#redis.hdel(keys.segmentList(avatar), ...expired);
    return summaries
      .filter((summary) => !expired.includes(summary.id))
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

  async getIdleStates(avatar: string): Promise<IdleStates> {
    const rows = Object.entries(await this.#redis.hgetall(keys.idleStates(avatar)));
    return Object.fromEntries(
      rows.flatMap(([state, row]) => {
        const segments = readRecord('avatar', `${avatar} idle.${state}`, idleStateSchema, row);
        return segments ? [[state, segments]] : [];
      }),
    );
  }

  async setIdleStates(avatar: string, states: IdleStates): Promise<void> {
    const transaction = this.#redis.multi().del(keys.idleStates(avatar));
    for (const [state, segments] of Object.entries(states)) {
      transaction.hset(keys.idleStates(avatar), state, JSON.stringify(segments));
    }
    await orFull(transaction.exec());
  }

  /** Parts of an open segment are contiguous from index 0; its manifest does not count them yet. */
  async #discardUncounted({ id, renditions }: SegmentParts): Promise<void> {
    for (let first = 0, removed = 1; removed > 0; first += PROBED_PARTS) {
      const indices = Array.from({ length: PROBED_PARTS }, (_, i) => first + i);
      const gops = renditions.flatMap((rendition) => indices.map((i) => keys.gop(id, rendition.id, i)));
      removed = await this.#redis.unlink(...gops, ...indices.map((i) => keys.pcm(id, i)));
    }
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

/** Passes on a command's reply, and converts Redis's OOM error. @throws HumancastError `media_store_full`. */
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
