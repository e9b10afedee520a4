import { randomUUID } from 'node:crypto';
import { mkdir, open, readdir, rename, stat, unlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { idSchema } from '@humancast/protocol';
import {
  type Clock,
  HumancastError,
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

/** What a copy's header says of whose it is and how long it is kept. */
export interface ArchivedAbout {
  readonly avatar: string;
  /** Name of the key that made it. */
  readonly owner: string | undefined;
  readonly retention: Retention;
}

/** What the folder holds of a segment, as it was last seen. */
interface Entry extends ArchivedSegment {
  /** `undefined` until it was needed. */
  readonly about?: ArchivedAbout | undefined;
}

/**
 * Segments that came over the network, and whose source nobody keeps: as files beside the media store, which holds them in
 * memory and may lose them. A file is there or not, whole; its time of modification is when the segment was used last.
 * The folder is this process's alone and is listed once, at {@link open}.
 */
export class SegmentArchive {
  readonly #parts: ArchiveParts;
  readonly #entries = new Map<string, Entry>();
  /** Whose the copies are whose form is unknown here, as far as they were read and say so. */
  readonly #unknownForms = new Map<string, string>();
  /** Copies being written. */
  readonly #keeping = new Map<string, Promise<void>>();

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
      const path = join(directory, name);
      if (name.endsWith(SUFFIX)) await this.#notice(name.slice(0, -SUFFIX.length));
      if (!name.endsWith(UNFINISHED_SUFFIX)) continue;
      const { mtimeMs } = await stat(path);
      if (clock.wallMs() - mtimeMs > UNFINISHED_MS) await unlink(path);
    }
  }

  /**
   * Copies a segment out of the media store. Never fails: a segment that can't be kept can still be played, and it is said and
   * counted that it won't come back.
   */
  async keep(manifest: SegmentManifest, retention: Retention): Promise<void> {
    if (!this.enabled || manifest.frames === 0) return;
    const { id } = manifest;
    const before = this.#keeping.get(id) ?? Promise.resolve();
    const keeping = before.then(() => this.#keep(manifest, retention));
    this.#keeping.set(id, keeping);
    await keeping;
    if (this.#keeping.get(id) === keeping) this.#keeping.delete(id);
  }

  async #keep(manifest: SegmentManifest, retention: Retention): Promise<void> {
    const { directory, store, metrics, logger } = this.#parts;
    const path = join(directory, `${manifest.id}.${randomUUID()}${UNFINISHED_SUFFIX}`);
    try {
      await writeSegmentFile(path, { manifest, retention }, async (name) => {
        const part = await readPart(store, manifest.id, name);
        if (!part) throw new HumancastError('segment_not_found', 'the media store lost it meanwhile');
        return part;
      });
      await rename(path, this.#pathOf(manifest.id));
      await syncFolder(directory);
      const { id, avatar, owner } = manifest;
      await this.#notice(id, { avatar, owner, retention });
    } catch (error) {
      await unlink(path).catch(() => {});
      metrics.archiveFailures.inc();
      const code = error instanceof HumancastError ? error.code : 'internal';
      logger.warn({ segment: manifest.id, code, err: error }, 'segment not archived: it is lost if redis-media is');
    }
  }

  /** Removes copies for good, also one that is being written at this moment, and has that on the disk when it resolves. */
  async forget(segments: readonly string[]): Promise<void> {
    if (!this.enabled || segments.length === 0) return;
    const removed = await Promise.all(segments.map((segment) => this.#forget(segment)));
    if (removed.includes(true)) await syncFolder(this.#parts.directory);
  }

  async #forget(segment: string): Promise<boolean> {
    await this.#keeping.get(segment);
    this.#entries.delete(segment);
    this.#unknownForms.delete(segment);
    const path = this.#pathOf(segment);
    const removed = await Promise.all([path, path + DAMAGED_SUFFIX].map(unlinkIfThere));
    return removed.includes(true);
  }

  /** All copies, in an order that stays while none is added or removed. */
  list(): ArchivedSegment[] {
    return [...this.#entries.values()];
  }

  /**
   * Ids of an avatar's copies, also of damaged ones that were set aside as long as their header can be read. Reads the header
   * of each file that has not been read yet.
   */
  async ofAvatar(avatar: string): Promise<string[]> {
    if (!this.enabled) return [];
    const found: string[] = [];
    for (const id of [...this.#entries.keys()]) {
      const about = await this.about(id);
      if ((about?.avatar ?? this.#unknownForms.get(id)) === avatar) found.push(id);
    }
    const ending = SUFFIX + DAMAGED_SUFFIX;
    for (const name of await readdir(this.#parts.directory)) {
      if (!name.endsWith(ending)) continue;
      const header = await readSegmentFile(join(this.#parts.directory, name)).catch(() => undefined);
      if (header?.manifest.avatar === avatar) found.push(name.slice(0, -ending.length));
    }
    return found;
  }

  /** @returns when a copy was used last, as its file says now, in wall-clock ms; `undefined` when it is not there. */
  async lastUsed(segment: string): Promise<number | undefined> {
    await this.#notice(segment, this.#entries.get(segment)?.about);
    return this.#entries.get(segment)?.usedAtMs;
  }

  async used(segment: string, atMs: number): Promise<void> {
    const seconds = atMs / 1000;
    const entry = this.#entries.get(segment);
    if (entry) this.#entries.set(segment, { ...entry, usedAtMs: atMs });
    await utimes(this.#pathOf(segment), seconds, seconds).catch(unlessAbsent);
  }

  /** What is known of an archived segment; `undefined` when it is not there, damaged, or of an unknown form. */
  async about(segment: string): Promise<ArchivedAbout | undefined> {
    const known = this.#entries.get(segment)?.about;
    if (known) return known;
    const header = await this.#read(segment, (path) => readSegmentFile(path));
    const entry = this.#entries.get(segment);
    if (!entry || !header) return undefined;
    const { avatar, owner } = header.manifest;
    const about = { avatar, owner, retention: header.retention };
    this.#entries.set(segment, { ...entry, about });
    return about;
  }

  /**
   * Brings a segment back into the media store.
   * @returns whether it is there now: not when its file is gone or damaged, or when it was deleted meanwhile.
   * @throws HumancastError `media_store_full`.
   */
  async restore(segment: string): Promise<boolean> {
    const { store, metrics, logger } = this.#parts;
    const header = await this.#read(segment, (path) =>
      readSegmentFile(path, async ({ manifest }, name, part) => {
        if (manifest.id === segment) await writePart(store, segment, name, part);
      }),
    );
    if (!header) return false;
    try {
      await store.putManifest(header.manifest, header.retention);
    } catch (error) {
      if (!(error instanceof HumancastError && error.code === 'segment_not_found')) throw error;
      await store.discardParts(header.manifest);
      return false;
    }
    if (!this.#entries.has(segment)) {
      await store.delete(segment); // it was forgotten meanwhile
      return false;
    }
    metrics.restored.inc();
    logger.info({ segment, avatar: header.manifest.avatar }, 'segment restored from the archive');
    return true;
  }

  async #read(segment: string, read: (path: string) => Promise<SegmentHeader>): Promise<SegmentHeader | undefined> {
    const path = this.#pathOf(segment);
    try {
      const header = await read(path);
      if (header.manifest.id === segment) return header;
      throw new DamagedSegmentFile(`it is the segment ${header.manifest.id}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#entries.delete(segment);
        return undefined;
      }
      if (error instanceof UnknownSegmentFile) {
        // It stays for the version that wrote it.
        unreadableRecords.add('segment-file', segment, error.message);
        if (error.avatar !== undefined) this.#unknownForms.set(segment, error.avatar);
        return undefined;
      }
      if (!(error instanceof DamagedSegmentFile)) throw error;
      const { metrics, logger } = this.#parts;
      metrics.archiveFailures.inc();
      logger.error({ segment, err: error.message }, `archived segment is damaged; set aside as *${DAMAGED_SUFFIX}`);
      await rename(path, path + DAMAGED_SUFFIX).catch(unlessAbsent);
      this.#entries.delete(segment);
      return undefined;
    }
  }

  async #notice(id: string, about?: ArchivedAbout): Promise<void> {
    if (!idSchema.safeParse(id).success) return;
    const file = await stat(this.#pathOf(id)).catch(unlessAbsent);
    if (file) this.#entries.set(id, { id, usedAtMs: file.mtimeMs, bytes: file.size, about });
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

async function unlinkIfThere(path: string): Promise<boolean> {
  try {
    await unlink(path);
    return true;
  } catch (error) {
    unlessAbsent(error as NodeJS.ErrnoException);
    return false;
  }
}

/** A file's name is on the disk only when its folder is (fsync(2)): a rename or removal might be undone by a power cut. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
