import type { IncomingMessage } from 'node:http';
import { resolve } from 'node:path';
import { type Avatar } from '@humancast/protocol';
import {
  type AvatarStore,
  ConcurrencyLimiter,
  HumancastError,
  type LoaderConfig,
  newId,
  type Retention,
  type SegmentManifest,
} from '@humancast/shared';
import { encodeSettingsOf, type LoudnessChoice } from '../encode/encode-settings.js';
import type { Ladders } from '../ladder/ladders.js';
import { type OpenMedia, openMedia } from '../library/layer-files.js';
import type { LoadQueue } from '../loading/load-queue.js';
import type { LoadRequest, SegmentLoader } from '../loading/segment-loader.js';
import type { UnfinishedWork } from '../retention/deletion.js';
import type { SegmentArchive } from '../retention/segment-archive.js';
import { type ReceivedUpload, receiveUpload } from './receive-upload.js';

const IDLE_MS = 30_000;
/** Number of failed uploads whose failure can still be queried. */
const FAILURES_KEPT = 1000;

/** An upload that is not a segment yet. A completed one is in the media store. */
export interface UploadState {
  readonly id: string;
  readonly avatar: string;
  readonly name: string;
  /** Name of the API key that uploaded it. */
  readonly owner: string;
  readonly createdAtMs: number;
  /** Progress of the load, 0 to 1. */
  readonly progress: number;
  readonly failure: HumancastError | undefined;
}

interface Upload {
  state: UploadState;
  readonly abort: AbortController;
  /** Settles when nothing of it is being written. */
  over: Promise<unknown>;
  loaded?: Promise<SegmentManifest>;
}

interface Receiving {
  readonly avatar: string;
  readonly abort: AbortController;
  readonly over: Promise<unknown>;
}

export interface AcceptedUpload {
  readonly id: string;
  /** @throws HumancastError that states why the load failed. */
  readonly loaded: Promise<SegmentManifest>;
}

export interface UploadOptions {
  /** The segment's ID; default: a new one. */
  readonly id?: string | undefined;
  /** Default: the file's name, else the segment's ID. */
  readonly name?: string | undefined;
  /** Whether it is kept until it is deleted. */
  readonly pinned: boolean;
  readonly loudness?: LoudnessChoice;
  /** Name of the API key that uploads it. */
  readonly owner: string;
}

interface NewSegment {
  readonly id: string;
  readonly avatar: Avatar;
  readonly name: string;
  readonly owner: string;
  readonly retention: Retention;
  readonly loudness: LoudnessChoice;
}

export interface UploadsParts {
  readonly config: Pick<
    LoaderConfig,
    | 'mediaDir'
    | 'loadQueueLimit'
    | 'uploadsPerKey'
    | 'uploadLimitBytes'
    | 'scratchDir'
    | 'uploadTtlSeconds'
    | 'renditions'
    | 'gopMs'
  >;
  readonly loader: SegmentLoader;
  readonly queue: LoadQueue;
  readonly archive: Pick<SegmentArchive, 'keep'>;
  readonly ladders: Pick<Ladders, 'add'>;
  readonly avatars: Pick<AvatarStore, 'get'>;
}

/** @returns The retention of a segment that came over the network. */
export function retentionOf(pinned: boolean, config: Pick<LoaderConfig, 'uploadTtlSeconds'>): Retention {
  return pinned ? { pinned } : { pinned, ttlSeconds: config.uploadTtlSeconds };
}

/** Runs uploads from their first byte to the finished segment. */
export class Uploads implements UnfinishedWork {
  readonly #parts: UploadsParts;
  readonly #uploads = new Map<string, Upload>();
  readonly #failed: string[] = [];
  readonly #receiving = new Set<Receiving>();
  readonly #inProgress = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();
  readonly #perKey: ConcurrencyLimiter;

  constructor(parts: UploadsParts) {
    this.#parts = parts;
    this.#perKey = new ConcurrencyLimiter({
      setting: 'UPLOADS_PER_KEY',
      what: 'uploads',
      limit: parts.config.uploadsPerKey,
    });
  }

  /** Number of uploads that are being received, are waiting, or are being encoded. */
  get inProgressCount(): number {
    return this.#inProgress.size;
  }

  /**
   * Receives an upload and queues its load.
   * @param onReady Called when the upload is admitted, before its first byte is read.
   * @param signal Cancels the upload at any time.
   * @throws HumancastError `too_many_uploads`, `too_many_connections`, `unavailable`, and those of `receiveUpload`.
   */
  async accept(
    request: IncomingMessage,
    avatar: Avatar,
    { id = newId('seg'), name, pinned, owner, loudness }: UploadOptions,
    signal: AbortSignal,
    onReady: () => void,
  ): Promise<AcceptedUpload> {
    const { config } = this.#parts;
    this.#stopping.signal.throwIfAborted();
    if (this.#inProgress.size >= config.loadQueueLimit) {
      throw new HumancastError('too_many_uploads', {
        detail: `${config.loadQueueLimit} uploads are in progress already; try again`,
        retryAfterSeconds: 5,
      });
    }
    const release = this.#perKey.acquire(owner);
    const { uploadLimitBytes: limitBytes, scratchDir } = config;
    const abort = new AbortController();
    const limits = {
      limitBytes,
      scratchDir,
      idleMs: IDLE_MS,
      signal: AbortSignal.any([this.#stopping.signal, abort.signal]),
    };
    const over = this.#whileInProgress(receiveUpload(request, limits, onReady));
    const receiving = { avatar: avatar.id, abort, over };
    this.#receiving.add(receiving);
    over.catch(release);
    const received = await over.finally(() => this.#receiving.delete(receiving));
    const earlier = this.#uploads.get(id);
    if (earlier?.loaded && !earlier.state.failure) {
      // The same idempotency key was sent twice concurrently.
      await received.close();
      return { id, loaded: earlier.loaded };
    }
    const title = (name ?? received.fileName ?? id).slice(0, 255);
    const retention = retentionOf(pinned, config);
    const upload: Upload = {
      state: { id, avatar: avatar.id, name: title, owner, createdAtMs: Date.now(), progress: 0, failure: undefined },
      abort: new AbortController(),
      over: Promise.resolve(),
    };
    this.#uploads.set(id, upload);
    const loaded = this.#whileInProgress(
      this.#load({ id, avatar, name: title, owner, retention, loudness }, received, upload, signal),
    );
    upload.over = loaded;
    upload.loaded = loaded;
    // A failure is also reported by `GET /v1/segments/:id`, so a rejection must not count as unhandled.
    loaded.then(release, release);
    return { id, loaded };
  }

  /** Resolves when no upload of this ID is in progress, whatever its outcome. */
  async settled(id: string): Promise<void> {
    await Promise.allSettled([this.#uploads.get(id)?.over]);
  }

  stateOf(id: string): UploadState | undefined {
    return this.#uploads.get(id)?.state;
  }

  /** @returns An avatar's uploads that are being loaded. */
  open(avatar: string): UploadState[] {
    return [...this.#uploads.values()]
      .map(({ state }) => state)
      .filter((state) => state.avatar === avatar && state.failure === undefined);
  }

  /** Cancels an avatar's uploads, or one upload; failed ones are forgotten. */
  async discard({ avatar, segment }: { avatar: string; segment?: string }, reason: HumancastError): Promise<void> {
    const loads = [...this.#uploads.values()].filter(({ state }) =>
      segment === undefined ? state.avatar === avatar : state.id === segment,
    );
    const receptions = [...this.#receiving].filter((each) => segment === undefined && each.avatar === avatar);
    for (const { abort } of [...loads, ...receptions]) abort.abort(reason);
    await Promise.allSettled([...loads, ...receptions].map(({ over }) => over));
    for (const { state } of loads) this.#uploads.delete(state.id);
  }

  /** Rejects new uploads, cancels receptions, and lets loads finish within the grace period. */
  async close(graceMs: number): Promise<void> {
    const stopping = new HumancastError('unavailable', { detail: 'the service is stopping', retryAfterSeconds: 2 });
    this.#stopping.abort(stopping);
    const impatience = setTimeout(() => {
      for (const { abort } of this.#uploads.values()) abort.abort(stopping);
    }, graceMs);
    await Promise.allSettled(this.#inProgress);
    clearTimeout(impatience);
  }

  async #load(
    { id, avatar, name, owner, retention, loudness }: NewSegment,
    received: ReceivedUpload,
    upload: Upload,
    signal: AbortSignal,
  ): Promise<SegmentManifest> {
    const { config, loader, queue, archive, ladders, avatars } = this.#parts;
    const either = AbortSignal.any([signal, upload.abort.signal]);
    const request: Omit<LoadRequest, 'media'> = {
      id,
      avatar: avatar.id,
      name,
      owner,
      role: 'speech',
      source: 'upload',
      retention,
      text: received.text,
      settings: encodeSettingsOf(avatar, config, loudness),
    };
    const onProgress = (progress: number) => {
      upload.state = { ...upload.state, progress };
    };
    try {
      const load = async () => {
        // The avatar may have been deleted since the upload was admitted.
        if (!(await avatars.get(avatar.id)))
          throw new HumancastError('avatar_not_found', `the avatar "${avatar.id}" was deleted`);
        const { media, close } = await this.#open(avatar, received.media);
        return loader.load({ ...request, media }, either, onProgress).finally(close);
      };
      const manifest = await queue.run('upload', load, either);
      await archive.keep(manifest, retention);
      ladders.add(manifest);
      this.#uploads.delete(id);
      return manifest;
    } catch (error) {
      if (either.aborted) this.#uploads.delete(id);
      else this.#remember(upload, error);
      throw error;
    } finally {
      await received.close();
    }
  }

  #remember(upload: Upload, error: unknown): void {
    const failure = error instanceof HumancastError ? error : new HumancastError('internal', { cause: error });
    upload.state = { ...upload.state, failure };
    this.#failed.push(upload.state.id);
    const oldest = this.#failed.length > FAILURES_KEPT ? this.#failed.shift() : undefined;
    if (oldest !== undefined) this.#uploads.delete(oldest);
  }

  /** An uploaded composition takes precedence over the avatar's. */
  async #open(avatar: Avatar, media: ReceivedUpload['media']): Promise<OpenMedia> {
    if (!('composition' in media)) {
      const main = { video: media.video.descriptor, audio: media.audio?.descriptor };
      return openMedia(resolve(this.#parts.config.mediaDir), avatar, main);
    }
    const inputs = [...media.inputs].map(
      ([name, file]) => [name, { video: file.descriptor, audio: undefined }] as const,
    );
    return { media: { composition: media.composition, inputs: new Map(inputs) }, close: () => Promise.resolve() };
  }

  async #whileInProgress<T>(work: Promise<T>): Promise<T> {
    this.#inProgress.add(work);
    try {
      return await work;
    } finally {
      this.#inProgress.delete(work);
    }
  }
}
