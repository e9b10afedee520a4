import { type Clock, type Logger, type MediaStore, type SegmentManifest, unlessUnreadable } from '@humancast/shared';

/** Age at which a playlist is read again on its next use, ms. */
const FRESH_MS = 2000;

interface Playlist {
  manifests: readonly SegmentManifest[];
  /** Clips of the named states that have any. */
  states: ReadonlyMap<string, readonly SegmentManifest[]>;
  readAtMs: number;
  reading: Promise<void> | undefined;
}

/** The idle playlists of the avatars that this process plays, each read once for all sessions. */
export class IdlePlaylists {
  readonly #store: MediaStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #playlists = new Map<string, Playlist>();
  readonly #users = new Map<string, number>();

  constructor(store: MediaStore, clock: Clock, logger: Logger) {
    this.#store = store;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** Reads the playlist before its first use. Every `open` is paired with a `close`. */
  async open(avatar: string): Promise<void> {
    this.#users.set(avatar, (this.#users.get(avatar) ?? 0) + 1);
    await this.#refresh(avatar);
  }

  close(avatar: string): void {
    const users = (this.#users.get(avatar) ?? 1) - 1;
    if (users > 0) {
      this.#users.set(avatar, users);
      return;
    }
    this.#users.delete(avatar);
    this.#playlists.delete(avatar);
  }

  /** @returns Whether a state has clips of its own; without them, it shows those of the avatar. */
  hasState(avatar: string, state: string): boolean {
    return this.#playlists.get(avatar)?.states.has(state) ?? false;
  }

  /** @returns The clip after `segment` in playing order, cyclically; the first one if `segment` is not in the list. */
  after(avatar: string, segment: string | undefined, state = ''): SegmentManifest | undefined {
    const playlist = this.#playlists.get(avatar);
    if (!playlist || this.#clock.nowMs() - playlist.readAtMs > FRESH_MS) void this.#refresh(avatar);
    const manifests = playlist?.states.get(state) ?? playlist?.manifests ?? [];
    const at = manifests.findIndex((manifest) => manifest.id === segment);
    return manifests[(at + 1) % Math.max(manifests.length, 1)];
  }

  /** @returns The clip itself if it is in the list. */
  find(avatar: string, segment: string): SegmentManifest | undefined {
    const playlist = this.#playlists.get(avatar);
    if (!playlist) return undefined;
    return [playlist.manifests, ...playlist.states.values()].flat().find(({ id }) => id === segment);
  }

  async #refresh(avatar: string): Promise<void> {
    const playlist = this.#playlists.get(avatar) ?? {
      manifests: [],
      states: new Map(),
      readAtMs: Number.NEGATIVE_INFINITY,
      reading: undefined,
    };
    this.#playlists.set(avatar, playlist);
    playlist.reading ??= this.#read(avatar, playlist).finally(() => {
      playlist.reading = undefined;
      playlist.readAtMs = this.#clock.nowMs();
    });
    await playlist.reading;
  }

  async #read(avatar: string, playlist: Playlist): Promise<void> {
    try {
      const [ids, states] = await Promise.all([this.#store.getIdlePlaylist(avatar), this.#store.getIdleStates(avatar)]);
      const playable = await this.#playable(ids);
      // A flushed store must not stop playback: the known playlist stays until there is a new one.
      if (playable.length === 0) return;
      const playableOf = await Promise.all(
        Object.entries(states).map(async ([state, clips]) => [state, await this.#playable(clips)] as const),
      );
      playlist.manifests = playable;
      playlist.states = new Map(playableOf.filter(([, clips]) => clips.length > 0));
    } catch (error) {
      this.#logger.warn({ avatar, err: (error as Error).message }, 'idle playlist could not be read');
    }
  }

  async #playable(ids: readonly string[]): Promise<SegmentManifest[]> {
    const manifests = await Promise.all(ids.map((id) => this.#store.getManifest(id).catch(unlessUnreadable)));
    return manifests.filter(
      (manifest) => manifest !== undefined && manifest.state === 'complete' && manifest.frames > 0,
    ) as SegmentManifest[];
  }
}
