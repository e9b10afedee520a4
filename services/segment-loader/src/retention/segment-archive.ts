import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Clock,
  HumancastError,
  idSchema,
  type Logger,
  type MediaStore,
  type Retention,
  type SegmentManifest,
  unreadableRecords,
} from '@humancast/shared';
import type { RetentionMetrics } from './retention-metrics.js';
import {
  DamagedSegmentFile,
  type PartName,
  readSegmentFile,
  type SegmentHeader,
  UnknownSegmentFile,
  writeSegmentFile,
} from './segment-file.js';

const SUFFIX = '.hcs';
const DAMAGED_SUFFIX = '.damaged';
const UNFINISHED_SUFFIX = '.part';
/** A file still unfinished after this long belongs to a process that is no more. */
const UNFINISHED_MS = 3_600_000;

export interface ArchiveParts {
  /** `''`: nothing is kept. */
  readonly directory: string;
  readonly store: MediaStore;
  readonly clock: Clock;
  readonly metrics: RetentionMetrics;
  readonly logger: Logger;
}

export interface ArchivedSegment {
  readonly id: string;
  /** When it was loaded, or heard to have been played, last. Wall-clock ms. */
  readonly usedAtMs: number;
  readonly bytes: number;
}

/**
 * Segments that came over the network, and whose source nobody keeps: as files beside the media store, which holds them in
 * memory and may lose them. A file is there or not, whole; its time of modification is when the segment was used last.
 */
export class SegmentArchive {
  readonly #parts: ArchiveParts;

  constructor(parts: ArchiveParts) {
    this.#parts = parts;
  }

  get enabled(): boolean {
    return this.#parts.directory !== '';
  }

  async open(): Promise<void> {
    if (!this.enabled) return;
    const { directory, clock } = this.#parts;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(directory)) {
      if (!name.endsWith(UNFINISHED_SUFFIX)) continue;
      const path = join(directory, name);
      const { mtimeMs } = await stat(path);
      if (clock.wallMs() - mtimeMs > UNFINISHED_MS) await unlink(path);
    }
  }

  /**
   * Copies a segment out of the media store. Never fails: a segment that can't be kept can still be played, and it is said and
   * counted that it won't come back.
   */
  async keep(manifest: SegmentManifest, retention: Retention): Promise<void> {
    const { directory, store, metrics, logger } = this.#parts;
    if (!this.enabled || manifest.frames === 0) return;
    const path = join(directory, `${manifest.id}.${randomUUID()}${UNFINISHED_SUFFIX}`);
    try {
      await writeSegmentFile(path, { manifest, retention }, async (name) => {
        const part = await readPart(store, manifest.id, name);
        if (!part) throw new HumancastError('segment_not_found', 'the media store lost it meanwhile');
        return part;
      });
      await rename(path, this.#pathOf(manifest.id));
    } catch (error) {
      await unlink(path).catch(() => {});
      metrics.archiveFailures.inc();
      const code = error instanceof HumancastError ? error.code : 'internal';
      logger.warn({ segment: manifest.id, code, err: error }, 'segment not archived: it is lost if redis-media is');
    }
  }

  /** It will not come back. */
  async forget(segment: string): Promise<void> {
    if (this.enabled) await unlink(this.#pathOf(segment)).catch(unlessAbsent);
  }

  /** Most recently used first. */
  async list(): Promise<ArchivedSegment[]> {
    if (!this.enabled) return [];
    const names = (await readdir(this.#parts.directory)).filter((name) => name.endsWith(SUFFIX));
    const found = await Promise.all(
      names.map(async (name) => {
        const id = name.slice(0, -SUFFIX.length);
        const file = await stat(this.#pathOf(id)).catch(unlessAbsent);
        return file && idSchema.safeParse(id).success ? [{ id, usedAtMs: file.mtimeMs, bytes: file.size }] : [];
      }),
    );
    return found.flat().sort((a, b) => b.usedAtMs - a.usedAtMs);
  }

  async used(segment: string, atMs: number): Promise<void> {
    const seconds = atMs / 1000;
    await utimes(this.#pathOf(segment), seconds, seconds).catch(unlessAbsent);
  }

  /** What is known of an archived segment; `undefined` when it is not there, damaged, or of an unknown form. */
  async header(segment: string): Promise<SegmentHeader | undefined> {
    return this.#read(segment, (path) => readSegmentFile(path));
  }

  /** Brings a segment back into the media store. → whether it is there now. @throws HumancastError `media_store_full`. */
  async restore(segment: string): Promise<boolean> {
    const { store, metrics, logger } = this.#parts;
    const header = await this.#read(segment, (path) =>
      readSegmentFile(path, (_, name, part) => writePart(store, segment, name, part)),
    );
    if (!header) return false;
    await store.putManifest(header.manifest, header.retention);
    if (!(await stat(this.#pathOf(segment)).catch(unlessAbsent))) {
      await store.delete(segment); // it was deleted meanwhile
      return false;
    }
    metrics.restored.inc();
    logger.info({ segment, avatar: header.manifest.avatar }, 'segment restored from the archive');
    return true;
  }

  async #read(segment: string, read: (path: string) => Promise<SegmentHeader>): Promise<SegmentHeader | undefined> {
    const path = this.#pathOf(segment);
    try {
      return await read(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      if (error instanceof UnknownSegmentFile) {
        // It stays for the version that wrote it.
        unreadableRecords.add('segment-file', segment, error.message);
        return undefined;
      }
      if (!(error instanceof DamagedSegmentFile)) throw error;
      const { metrics, logger } = this.#parts;
      metrics.archiveFailures.inc();
      logger.error({ segment, err: error.message }, `archived segment is damaged; set aside as *${DAMAGED_SUFFIX}`);
      await rename(path, path + DAMAGED_SUFFIX).catch(unlessAbsent);
      return undefined;
    }
  }

  #pathOf(segment: string): string {
    return join(this.#parts.directory, segment + SUFFIX);
  }
}

function readPart(store: MediaStore, segment: string, name: PartName): Promise<Buffer | undefined> {
  return name.kind === 'gop' ? store.readGop(segment, name.rendition, name.index) : store.readPcm(segment, name.index);
}

function writePart(store: MediaStore, segment: string, name: PartName, part: Buffer): Promise<void> {
  return name.kind === 'gop'
    ? store.writeGop(segment, name.rendition, name.index, part)
    : store.writePcm(segment, name.index, part);
}

function unlessAbsent(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
