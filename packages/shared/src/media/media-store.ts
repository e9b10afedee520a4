import type { MissingRendition, Rendition } from '@humancast/protocol';
import type { SegmentManifest, SegmentSummary } from './manifest.js';

/**
 * Stores encoded frames and PCM. The loader writes, media-senders read. Defines semantics, not Redis: the conformance suite
 * (`testing/media-store-suite.ts`) holds for every implementation.
 *
 * A segment becomes visible (in its avatar's list, by `getManifest`) only when its manifest is put; parts that no manifest
 * follows expire.
 */
export interface MediaStore {
  /** @throws HumancastError `media_store_full` when the memory ceiling is reached. */
  writeGop(segment: string, rendition: string, index: number, gop: Buffer): Promise<void>;
  /** s16le mono at `PCM_RATE`; every chunk but the last has `PCM_CHUNK_SAMPLES`. @throws as `writeGop`. */
  writePcm(segment: string, index: number, pcm: Buffer): Promise<void>;
  /**
   * Publishes a segment. Pinned segments stay until deleted; others expire `ttlSeconds` after the last {@link touch}.
   * @throws HumancastError `media_store_full`; `segment_not_found` when the segment was {@link forbid forbidden}.
   */
  putManifest(manifest: SegmentManifest, retention: Retention): Promise<void>;
  /**
   * Publishes renditions that a complete segment lacked, after their GOPs were written, and those that could not be encoded.
   * What else is stored of the segment stays, also its retention; its TTL restarts.
   * @returns The segment as it is stored now; `undefined` if there is none any more, and the GOPs are then left to
   * {@link discardParts}.
   * @throws HumancastError `media_store_full`, `record_unreadable`.
   */
  putRenditions(
    segment: string,
    stored: readonly Rendition[],
    failed?: readonly MissingRendition[],
  ): Promise<SegmentManifest | undefined>;
  /** @throws HumancastError `record_unreadable` when another version stored it in a form that is unknown here. */
  getManifest(segment: string): Promise<SegmentManifest | undefined>;
  /** @returns `undefined` if it does not exist or has expired. */
  readGop(segment: string, rendition: string, index: number): Promise<Buffer | undefined>;
  readPcm(segment: string, index: number): Promise<Buffer | undefined>;
  /** @returns Whether the manifest is readable and every part that it names exists. */
  hasAllParts(segment: string): Promise<boolean>;
  /** Restarts the TTL of all parts; no effect on a pinned segment. */
  touch(segment: string): Promise<void>;
  /** @returns `undefined` if there is no such segment. */
  usage(segment: string): Promise<SegmentUsage | undefined>;
  /** Pins a segment, or lets it expire from now on. @returns `false` if there is none. */
  retain(segment: string, retention: Retention): Promise<boolean>;
  /** Removes a segment and all its parts, even if its manifest is unreadable. @returns `false` if there was none. */
  delete(segment: string): Promise<boolean>;
  /**
   * Rejects this segment's manifest for a day from now on, so that a load, a push or a restoration that is still under way
   * cannot bring a deleted segment back. What is there stays until {@link delete}.
   */
  forbid(segment: string): Promise<void>;
  /** @returns Segment ids of an avatar in no order, possibly including expired ones. Cheaper than {@link list}. */
  ids(avatar: string): Promise<string[]>;
  /** @returns The seconds until each segment expires: infinite while it is pinned, `undefined` if it does not exist. */
  secondsLeft(segments: readonly string[]): Promise<(number | undefined)[]>;
  /** Removes parts that were written for a segment without a manifest. */
  discardParts(parts: SegmentParts): Promise<void>;
  /** @returns The segments of an avatar that have not expired, oldest first. */
  list(avatar: string): Promise<SegmentSummary[]>;
  /** @returns The segment ids in playing order. */
  getIdlePlaylist(avatar: string): Promise<string[]>;
  setIdlePlaylist(avatar: string, segments: readonly string[]): Promise<void>;
  /** @returns The idle playlists of the avatar's named states, without those that are unreadable. */
  getIdleStates(avatar: string): Promise<IdleStates>;
  /** Replaces the idle playlists of all named states. */
  setIdleStates(avatar: string, states: IdleStates): Promise<void>;
}

/** Segment ids in playing order, by state. */
export type IdleStates = Readonly<Record<string, readonly string[]>>;

/** Identifies the parts of a segment. */
export type SegmentParts = Pick<SegmentManifest, 'id' | 'frames' | 'gopFrames' | 'pcmSamples'> & {
  readonly renditions: readonly { readonly id: string }[];
};

export type Retention = { readonly pinned: true } | { readonly pinned: false; readonly ttlSeconds: number };

/** Size and age of a segment. */
export interface SegmentUsage {
  /** Size of all its parts, bytes. */
  readonly bytes: number;
  readonly retention: Retention;
  /** Seconds since it was last written or touched; 0 while it is pinned. */
  readonly idleSeconds: number;
}
