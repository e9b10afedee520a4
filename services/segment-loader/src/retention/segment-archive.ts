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
/** Age at which an unfinished file is left over from an ended process. */
const UNFINISHED_MS = 3_600_000;

export interface ArchiveParts {
  /** Folder of the archive; `''` disables it. */
  readonly directory: string;
  readonly store: MediaStore;
  readonly clock: Clock;
  readonly metrics: RetentionMetrics;
  readonly logger: Logger;
}

export interface ArchivedSegment {
  readonly id: string;
  /** Time of the last load or reported use, wall-clock ms. */
  readonly usedAtMs: number;
  readonly bytes: number;
}

/** Avatar, owner and retention of a copy, from its header. */
export interface ArchivedAbout {
  readonly avatar: string;
  /** Name of the API key that created it. */
  readonly owner: string | undefined;
  readonly retention: Retention;
}

/** A copy in the folder, as last seen. */
interface Entry extends ArchivedSegment {
  /** `undefined` until first requested. */
  readonly about?: ArchivedAbout | undefined;
}

/**
 * Archive of segments that came over the network, whose sources nobody keeps: files beside the media store, which holds
 * segments in memory and may lose them. Files appear atomically; their modification time is the time of last use. The folder
 * belongs to this process alone and is listed once, at {@link open}.
 */
export class SegmentArchive {
  readonly #parts: ArchiveParts;
  readonly #entries = new Map<string, Entry>();
  /** Avatars of copies of an unknown format, by segment, if read and stated. */
  readonly #unknownForms = new Map<string, string>();
  /** Copies in progress. */
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
   * Copies a segment out of the media store. It never fails: a segment that can't be archived still plays; the failure is
   * logged and counted.
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
        if (!part) throw new HumancastError('segment_not_found', 'the media store lost a part of the segment');
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
      logger.warn({ segment: manifest.id, code, err: error }, 'segment not archived, it cannot be restored');
    }
  }

  /** Removes copies permanently, including ones in progress; resolves once the removal is on the disk. */
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

  /** @returns All copies, in an order that is stable while none is added or removed. */
  list(): ArchivedSegment[] {
    return [...this.#entries.values()];
  }

  /**
   * @returns The IDs of an avatar's copies, including damaged ones with a readable header. Reads the headers not read yet.
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

  /** @returns The time of a copy's last use according to its file, wall-clock ms; `undefined` if there is no copy. */
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

  /** @returns The description of an archived segment; `undefined` if it is absent, damaged, or of an unknown format. */
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
   * Restores a segment into the media store.
   * @returns Whether the store has it now; `false` if its file is absent or damaged, or if it was deleted meanwhile.
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
      await store.delete(segment); // forget() ran meanwhile
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
      throw new DamagedSegmentFile(`it holds the segment ${header.manifest.id}`);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        this.#entries.delete(segment);
        return undefined;
      }
      if (error instanceof UnknownSegmentFile) {
        // The file stays for the version that wrote it.
        unreadableRecords.add('segment-file', segment, error.message);
        if (error.avatar !== undefined) this.#unknownForms.set(segment, error.avatar);
        return undefined;
      }
      if (!(error instanceof DamagedSegmentFile)) throw error;
      const { metrics, logger } = this.#parts;
      metrics.archiveFailures.inc();
      logger.error({ segment, err: error.message }, `damaged archive file renamed to *${DAMAGED_SUFFIX}`);
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

/** Syncs a folder, because the rename or removal of a file survives a power cut only then (fsync(2)). */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
