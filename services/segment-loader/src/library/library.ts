import { mkdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Avatar, ErrorCode, FolderProblem } from '@humancast/protocol';
import type { AvatarStore, Clock, LoaderConfig, Logger, MediaStore } from '@humancast/shared';
import { librarySettingsOf } from '../encode/encode-settings.js';
import type { Ladders } from '../ladder/ladders.js';
import type { LoadQueue } from '../loading/load-queue.js';
import type { SegmentLoader } from '../loading/segment-loader.js';
import { type FolderScan, type Rejected, scanFolder } from './folder-scan.js';
import { FolderWatch } from './folder-watch.js';
import { layersOf, openMedia } from './layer-files.js';
import { type Failure, failureOf } from './load-failure.js';
import type { MediaFile } from './media-file.js';
import { type DesiredSegment, reconcile, type StoredSegment } from './reconcile.js';
import { segmentIdOf } from './segment-id.js';
import { Settling } from './settling.js';
import { openSource } from './source-file.js';

export interface LibraryParts {
  readonly config: Pick<LoaderConfig, 'mediaDir' | 'settleMs' | 'rescanMs' | 'renditions' | 'gopMs'>;
  readonly store: MediaStore;
  readonly avatars: AvatarStore;
  readonly loader: SegmentLoader;
  readonly queue: LoadQueue;
  readonly ladders: Pick<Ladders, 'add'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A library file that is not a segment yet, and why. */
export interface LibraryProblem extends FolderProblem {
  readonly code: ErrorCode;
}

/** A library file that is waiting to be loaded, or being loaded. */
export interface LibraryLoad {
  readonly segment: string;
  readonly avatar: string;
  readonly role: MediaFile['role'];
  readonly name: string;
  /** Progress from 0 to 1; 0 while it waits. */
  readonly progress: number;
}

interface Loading {
  readonly desired: DesiredSegment;
  readonly abort: AbortController;
  progress: number;
  ended: Promise<void>;
}

/** Maximum number of reported problems. */
const MAX_REJECTED = 1000;
/** Minimum time between two scans. */
const MIN_SCAN_INTERVAL_MS = 100;

/**
 * Keeps the media store's library segments equal to the watched folder: it compares both and acts on the difference, upon a
 * change notification, after each load, and every `rescanMs`. It thereby also recovers from a missed file, a flushed store
 * and a lost connection.
 */
export class Library {
  readonly #parts: LibraryParts;
  readonly #root: string;
  readonly #settling: Settling;
  readonly #watch: FolderWatch;
  readonly #loading = new Map<string, Loading>();
  readonly #failures = new Map<string, Failure & { readonly file: MediaFile }>();
  /** Keys of messages that were logged and are not repeated on each scan. */
  #reported = new Set<string>();
  #folders: ReadonlySet<string> = new Set();
  #rejected: readonly Rejected[] = [];
  #timer: NodeJS.Timeout | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;
  #scanning: Promise<void> | undefined;
  #scanAgain = false;
  #closed = false;

  constructor(parts: LibraryParts) {
    this.#parts = parts;
    this.#root = resolve(parts.config.mediaDir);
    this.#settling = new Settling(parts.config.settleMs);
    this.#watch = new FolderWatch(this.#root, parts.logger, () => this.poke());
  }

  async start(): Promise<void> {
    await mkdir(this.#root, { recursive: true });
    this.#parts.logger.info({ mediaDir: this.#root }, 'watching the media folder');
    this.#scheduleScan(0);
  }

  /** Requests a scan soon, because something may have changed. */
  poke(): void {
    this.#scheduleScan(MIN_SCAN_INTERVAL_MS);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#watch.close();
    const loading = [...this.#loading.values()];
    for (const { abort } of loading) abort.abort(new Error('the service is stopping'));
    await Promise.all([this.#scanning, ...loading.map(({ ended }) => ended)]);
  }

  /** @returns Whether the watched folder contains a folder for this avatar. */
  hasFolder(avatar: string): boolean {
    return this.#folders.has(avatar);
  }

  get problemCount(): number {
    return this.#failures.size + this.#rejected.length;
  }

  /** @returns The entries of an avatar's folder that are not segments, and why. */
  problems(avatar: string): LibraryProblem[] {
    const failed = [...this.#failures.values()]
      .filter(({ file }) => file.avatar === avatar)
      .map(({ file, code, message }) => ({ file: shortPath(file), code, message }));
    return [...failed, ...this.#rejected.filter((rejected) => rejected.avatar === avatar).map(problemOf)];
  }

  #allProblems(): ReadonlyMap<string | undefined, readonly LibraryProblem[]> {
    const files = [...this.#failures.values()].map(({ file }) => file.avatar);
    const avatars = new Set([...files, ...this.#rejected.flatMap(({ avatar }) => avatar ?? [])]);
    const all = new Map<string | undefined, LibraryProblem[]>([...avatars].map((id) => [id, this.problems(id)]));
    return this.strayProblems.length > 0 ? all.set(undefined, this.strayProblems) : all;
  }

  /** @returns Entries of the media folder that belong to no avatar. */
  get strayProblems(): LibraryProblem[] {
    return this.#rejected.filter(({ avatar }) => avatar === undefined).map(problemOf);
  }

  loads(avatar: string): LibraryLoad[] {
    return [...this.#loading.values()].filter(({ desired }) => desired.file.avatar === avatar).map(loadOf);
  }

  loadOf(segment: string): LibraryLoad | undefined {
    const loading = this.#loading.get(segment);
    return loading && loadOf(loading);
  }

  /** Cancels the loads of an avatar (or of one segment); resolves when they have ended. */
  async discard({ avatar, segment }: { avatar: string; segment?: string }, reason: Error): Promise<void> {
    const loads = [...this.#loading.values()].filter(
      ({ desired }) => desired.file.avatar === avatar && (segment === undefined || desired.id === segment),
    );
    for (const { abort } of loads) abort.abort(reason);
    await Promise.all(loads.map(({ ended }) => ended));
  }

  #scheduleScan(delayMs: number): void {
    if (this.#closed) return;
    if (this.#scanning) {
      this.#scanAgain = true;
      return;
    }
    const dueMs = this.#parts.clock.nowMs() + delayMs;
    if (dueMs >= this.#timerDueMs) return;
    clearTimeout(this.#timer);
    this.#timerDueMs = dueMs;
    this.#timer = setTimeout(() => this.#begin(), delayMs);
  }

  #begin(): void {
    this.#timerDueMs = Number.POSITIVE_INFINITY;
    this.#scanAgain = false;
    this.#scanning = this.#update()
      .catch((error: unknown) => {
        this.#reportOnce('update', { err: (error as Error).message }, 'library scan failed, retrying');
        return this.#parts.config.rescanMs;
      })
      .then((nextMs) => {
        this.#scanning = undefined;
        this.#scheduleScan(this.#scanAgain ? Math.min(MIN_SCAN_INTERVAL_MS, nextMs) : nextMs);
      });
  }

  /** @returns The time until the next scan, ms. */
  async #update(): Promise<number> {
    const { config, clock, avatars } = this.#parts;
    this.#watch.ensure();
    const scan = await this.#scan();
    if (!scan) return config.rescanMs;
    this.#folders = new Set(scan.avatars);
    for (const avatar of scan.avatars) await avatars.ensure(avatar, scan.names.get(avatar));
    const settled = this.#settling.settled(scan.files, clock.wallMs());
    const known = await avatars.list();
    for (const avatar of known) {
      if (this.#closed) return config.rescanMs;
      if (scan.away.has(avatar.id)) continue;
      const { composition } = avatar;
      const merged = composition && { composition, layers: await layersOf(this.#root, avatar.id, composition) };
      const desired = scan.files
        .filter((file) => file.avatar === avatar.id)
        .map((file) => ({
          id: segmentIdOf(file, librarySettingsOf(avatar, config, file.role), merged),
          file,
          settled: settled.has(file),
        }));
      await this.#updateAvatar(avatar, desired, scan.playlists);
    }
    await avatars.publishProblems(this.#allProblems());
    this.#reported.delete('update');
    return settled.size < scan.files.length ? Math.min(config.settleMs, config.rescanMs) : config.rescanMs;
  }

  /**
   * @returns `undefined` while the folder can't be read; loaded segments are then kept, because it may be an unmounted
   * drive.
   */
  async #scan(): Promise<FolderScan | undefined> {
    try {
      const scan = await scanFolder(this.#root);
      this.#reported.delete('scan');
      this.#rejected = scan.rejected.slice(0, MAX_REJECTED);
      for (const { path, reason } of this.#rejected) {
        this.#reportOnce(`rejected ${path} ${reason}`, { file: path, reason }, 'library entry unusable');
      }
      return scan;
    } catch (error) {
      this.#reportOnce('scan', { err: (error as Error).message }, 'media folder unreadable, keeping loaded segments');
      return undefined;
    }
  }

  async #updateAvatar(
    avatar: Avatar,
    desired: readonly DesiredSegment[],
    playlists: FolderScan['playlists'],
  ): Promise<void> {
    const { store, logger } = this.#parts;
    const { load, unload, idle, states } = reconcile(
      desired,
      await this.#storedSegments(avatar.id),
      playlists.get(avatar.id),
      (state) => playlists.get(`${avatar.id}/${state}`),
    );
    if ((await store.getIdlePlaylist(avatar.id)).join() !== idle.join()) {
      await store.setIdlePlaylist(avatar.id, idle);
      logger.info({ avatar: avatar.id, idle }, 'idle playlist changed');
    }
    if (!isDeepStrictEqual(await store.getIdleStates(avatar.id), states)) {
      await store.setIdleStates(avatar.id, states);
      logger.info({ avatar: avatar.id, states }, 'idle playlists of states changed');
    }
    for (const id of unload) {
      await store.delete(id);
      logger.info({ avatar: avatar.id, segment: id }, 'segment unloaded');
    }
    this.#forgetFormer(avatar.id, new Set(desired.map(({ id }) => id)));
    for (const segment of load) this.#startLoad(avatar, segment);
  }

  async #storedSegments(avatar: string): Promise<StoredSegment[]> {
    const { store } = this.#parts;
    const summaries = (await store.list(avatar)).filter((summary) => summary.source === 'library');
    return Promise.all(
      summaries.map(async (summary) => ({ ...summary, complete: await store.hasAllParts(summary.id) })),
    );
  }

  /** Drops loads and failures of files that have changed or were removed. */
  #forgetFormer(avatar: string, desiredIds: ReadonlySet<string>): void {
    for (const [id, { desired, abort }] of this.#loading) {
      if (desired.file.avatar === avatar && !desiredIds.has(id)) abort.abort(new Error('the file has changed'));
    }
    for (const [id, { file }] of this.#failures) {
      if (file.avatar === avatar && !desiredIds.has(id)) this.#failures.delete(id);
    }
  }

  #startLoad(avatar: Avatar, desired: DesiredSegment): void {
    const { clock } = this.#parts;
    const failure = this.#failures.get(desired.id);
    if (failure && (failure.retryAtMs === undefined || clock.nowMs() < failure.retryAtMs)) return;
    if (this.#loading.has(desired.id) || this.#closed) return;
    const loading: Loading = { desired, abort: new AbortController(), progress: 0, ended: Promise.resolve() };
    this.#loading.set(desired.id, loading);
    loading.ended = this.#load(avatar, loading)
      .then(
        () => {
          this.#failures.delete(desired.id);
        },
        (error: unknown) => {
          if (loading.abort.signal.aborted) return;
          this.#failures.set(desired.id, { ...failureOf(error, failure, clock.nowMs()), file: desired.file });
        },
      )
      .finally(() => {
        this.#loading.delete(desired.id);
        this.poke();
      });
  }

  async #load(avatar: Avatar, loading: Loading): Promise<void> {
    const { queue } = this.#parts;
    const { file } = loading.desired;
    const { signal } = loading.abort;
    const load = async () => {
      const source = await openSource(file);
      if (!source) return;
      try {
        await this.#loadFrom(source.fd, avatar, loading);
      } finally {
        await source.close();
      }
    };
    await queue.run(file.role === 'idle' ? 'idle' : 'library', load, signal);
  }

  async #loadFrom(descriptor: number, avatar: Avatar, loading: Loading): Promise<void> {
    const { loader, ladders, config } = this.#parts;
    const { id, file } = loading.desired;
    const { role, name } = file;
    const settings = librarySettingsOf(avatar, config, role);
    const segment = { id, avatar: avatar.id, role, name, source: 'library', retention: { pinned: true } } as const;
    const { media, close } = await openMedia(this.#root, avatar, { video: descriptor, audio: undefined });
    try {
      const manifest = await loader.load({ ...segment, settings, media }, loading.abort.signal, (share) => {
        loading.progress = share;
      });
      ladders.add(manifest);
    } finally {
      await close();
    }
  }

  #reportOnce(key: string, fields: Record<string, unknown>, text: string): void {
    if (this.#reported.has(key)) return;
    this.#reported.add(key);
    this.#parts.logger.warn(fields, text);
  }
}

function loadOf({ desired, progress }: Loading): LibraryLoad {
  const { avatar, role, name } = desired.file;
  return { segment: desired.id, avatar, role, name, progress };
}

function problemOf({ path, avatar, reason }: Rejected): LibraryProblem {
  // The API call names the avatar, so its folder is omitted.
  const file = avatar === undefined || !path.includes('/') ? path : path.slice(path.indexOf('/') + 1);
  return { file, code: 'library_entry_unusable', message: reason };
}

function shortPath({ role, name }: MediaFile): string {
  if (role === 'idle' && name.includes('/')) return `idle.${name}`;
  return `${role === 'idle' ? 'idle' : 'segments'}/${name}`;
}
