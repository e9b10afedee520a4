import { HumancastError, type MediaStore, type SegmentManifest, unpackGop } from '@humancast/shared';
import { webpOf, withHeight } from './webp.js';

/** Posters kept in memory; each has the size of one keyframe. */
const KEPT_LIMIT = 32;

export interface Poster {
  /** Changes with the image. */
  readonly tag: string;
  /** WebP. */
  readonly image: Buffer;
}

type PosterMedia = Pick<MediaStore, 'getIdlePlaylist' | 'getManifest' | 'readGop'>;

/** Makes an avatar's poster of the first keyframe of its idle playlist, without decoding it. */
export class Posters {
  readonly #media: PosterMedia;
  /** By tag, least recently used first. */
  readonly #kept = new Map<string, Poster>();

  constructor(media: PosterMedia) {
    this.#media = media;
  }

  /** @throws HumancastError `avatar_has_no_idle`; `not_found` if its idle clip has no VP8 rendition. */
  async of(avatar: string): Promise<Poster> {
    const manifest = await this.#firstIdle(avatar);
    const largest = manifest.renditions
      .filter(({ codec }) => codec === 'vp8')
      .reduce((a, b) => (a === undefined || b.width > a.width ? b : a), undefined as Rendition | undefined);
    if (!largest) throw new HumancastError('not_found', 'only an idle clip with a VP8 rendition has a poster');
    // A file that is loaded again keeps its segment's id.
    const tag = `${manifest.id}.${largest.id}.${manifest.createdAtMs}`;
    const poster = this.#kept.get(tag) ?? (await this.#read(manifest, largest, tag));
    this.#keep(poster);
    return poster;
  }

  async #firstIdle(avatar: string): Promise<SegmentManifest> {
    const [first] = await this.#media.getIdlePlaylist(avatar);
    const manifest = first === undefined ? undefined : await this.#media.getManifest(first);
    if (!manifest) throw new HumancastError('avatar_has_no_idle');
    return manifest;
  }

  async #read({ id }: SegmentManifest, rendition: Rendition, tag: string): Promise<Poster> {
    const gop = await this.#media.readGop(id, rendition.id, 0);
    const [keyframe] = gop ? unpackGop(gop) : [];
    if (!keyframe) throw new HumancastError('avatar_has_no_idle');
    const { alpha, height } = rendition;
    return { tag, image: webpOf(alpha ? withHeight(keyframe.data, height / 2) : keyframe.data) };
  }

  #keep(poster: Poster): void {
    this.#kept.delete(poster.tag);
    this.#kept.set(poster.tag, poster);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT_LIMIT && oldest !== undefined) this.#kept.delete(oldest);
  }
}

type Rendition = SegmentManifest['renditions'][number];
