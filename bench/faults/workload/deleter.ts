import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type FuzzRandom, makeBusyClip } from '@humancast/testkit';
import type { Actor } from './actor.ts';
import type { Catalog } from './catalog.ts';
import type { Commands } from './commands.ts';

const EVERY_MS = [6000, 12_000] as const;
const LIVES_MS = [500, 8000] as const;
/** Number of the newest deleted segments that are looked up until the end of the run. */
const LOOKED_UP = 20;
const POLL_EVERY_MS = 3000;
/** Number of sessions that speak a segment before it is deleted. */
const SPOKEN_BY = 2;
const CLIP = { seconds: 2, fps: 25, size: '160x120' };

export interface DeleterOptions {
  readonly actors: readonly Actor[];
  readonly avatar: string;
  readonly commands: Commands;
  readonly catalog: Catalog;
  readonly random: FuzzRandom;
  /** Folder for clips before they are uploaded. */
  readonly folder: string;
}

/** Uploads new segments, has them spoken, deletes them while they play, and checks that they do not come back. */
export class Deleter {
  readonly #options: DeleterOptions;
  readonly #abort = new AbortController();
  readonly #done: Promise<unknown>;
  readonly #deleted: string[] = [];
  #number = 0;

  constructor(options: DeleterOptions) {
    this.#options = options;
    this.#done = Promise.all([
      this.#until(() => this.#deleteOne(), EVERY_MS),
      this.#until(() => this.#poll(), [POLL_EVERY_MS, POLL_EVERY_MS]),
    ]);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
    await this.#poll();
  }

  async #until(act: () => Promise<void>, everyMs: readonly [number, number]): Promise<void> {
    while (!this.#abort.signal.aborted) {
      await act();
      await this.#wait(everyMs);
    }
  }

  async #deleteOne(): Promise<void> {
    const { commands, random, avatar, catalog, actors, folder } = this.#options;
    const number = ++this.#number;
    const path = join(folder, `deleted-${number}.mov`);
    await makeBusyClip(path, { ...CLIP, seed: 10_000 + number });
    const clip = new Blob([await readFile(path)]);
    // Every third segment has its own avatar, which is deleted.
    const own = number % 3 === 0 ? `gone-${number}` : undefined;
    if (own !== undefined && !(await commands.defineAvatar(own))) return;
    const segment = await commands.upload(own ?? avatar, `deleted-${number}`, clip);
    // Its frames can't be read while redis-media is down; then it is deleted without being spoken.
    const known =
      segment !== undefined &&
      (await catalog.add(segment).then(
        () => true,
        () => false,
      ));
    if (segment === undefined) return;
    if (known && own === undefined)
      for (const actor of random.shuffled(actors).slice(0, SPOKEN_BY)) actor.offer(segment);
    await this.#wait(LIVES_MS);
    const done = own === undefined ? commands.deleteSegment(segment) : commands.deleteAvatar(own, [segment]);
    if (await done) this.#deleted.push(segment);
  }

  async #poll(): Promise<void> {
    for (const segment of this.#deleted.slice(-LOOKED_UP)) await this.#options.commands.lookUp(segment);
  }

  async #wait([least, most]: readonly [number, number]): Promise<void> {
    const ms = least + this.#options.random.below(most - least + 1);
    await sleep(ms, undefined, { signal: this.#abort.signal }).catch(() => {});
  }
}
