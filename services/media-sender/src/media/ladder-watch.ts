import { type MediaStore, pendingRenditions, type SegmentManifest } from '@humancast/shared';

/** Interval of reading the manifests of segments that lack renditions, ms. */
const INTERVAL_MS = 1000;
/** Manifests read at a time; with more segments in use, each waits longer. */
const BATCH = 32;

type Listener = (manifest: SegmentManifest) => void;

/**
 * Watches the segments in use whose further renditions are still being encoded: reads each manifest once a second for the
 * whole process, however many sessions and viewers play it, until none is missing or nobody plays it any more.
 */
export class LadderWatch {
  readonly #store: Pick<MediaStore, 'getManifest'>;
  /** By segment, the one that waits longest first. */
  readonly #listeners = new Map<string, Set<Listener>>();
  #timer: NodeJS.Timeout | undefined;
  #reading = false;

  constructor(store: Pick<MediaStore, 'getManifest'>) {
    this.#store = store;
  }

  /** Number of segments watched. */
  get size(): number {
    return this.#listeners.size;
  }

  /** @returns A function that ends the watch. */
  watch(segment: string, onManifest: Listener): () => void {
    const listeners = this.#listeners.get(segment) ?? new Set();
    listeners.add(onManifest);
    this.#listeners.set(segment, listeners);
    this.#timer ??= setInterval(() => void this.#read(), INTERVAL_MS);
    return () => {
      listeners.delete(onManifest);
      if (listeners.size === 0 && this.#listeners.get(segment) === listeners) this.#listeners.delete(segment);
      this.#stopWhenIdle();
    };
  }

  async #read(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    const first = [...this.#listeners].slice(0, BATCH);
    await Promise.all(first.map(([segment, listeners]) => this.#readOne(segment, listeners)));
    this.#reading = false;
    this.#stopWhenIdle();
  }

  /** Never rejects. */
  async #readOne(segment: string, listeners: Set<Listener>): Promise<void> {
    const manifest = await this.#store.getManifest(segment).catch(() => 'unreadable' as const);
    if (this.#listeners.get(segment) !== listeners) return;
    this.#listeners.delete(segment);
    const isOver = manifest !== 'unreadable' && pendingRenditions(manifest ?? {}).length === 0;
    if (!isOver) this.#listeners.set(segment, listeners);
    if (typeof manifest === 'object') for (const listener of listeners) listener(manifest);
  }

  #stopWhenIdle(): void {
    if (this.#listeners.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
