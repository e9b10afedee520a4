import { setTimeout as sleep } from 'node:timers/promises';
import type { FuzzRandom, Stack } from '@humancast/testkit';
import type { History } from '../history.ts';
import type { Catalog } from './catalog.ts';
import type { Commands } from './commands.ts';
import { EventReader } from './event-reader.ts';
import { Watcher } from './watcher.ts';

const TURN_MS = 200;
const RETRY_MS = 1000;
/** Number of segments kept queued, so that a pause of the producer leaves no gap. */
const QUEUED_AHEAD = 3;
const MOST_AT_ONCE = 3;
const MOST_VIEWERS = 3;
/** Time for the session to play everything after the last segment was queued, ms. */
const SAY_ALL_MS = 45_000;
const EVENTS_MS = 45_000;
/** Time for which viewers keep listening after the session's end, because a frozen media-sender may send again. */
const LISTEN_AFTER_END_MS = 3000;

/** Probabilities of actions other than speak in a turn of 0.2 s. */
const CHANCE = { interrupt: 0.012, replace: 0.1, end: 0.002, come: 0.006, leave: 0.006, vanish: 0.004 };

export interface ActorOptions {
  readonly number: number;
  readonly stack: Stack;
  readonly avatar: string;
  /** Segments to speak, each once per session, so that received frames identify the request. */
  readonly segments: readonly string[];
  readonly commands: Commands;
  readonly catalog: Catalog;
  readonly history: History;
  readonly random: FuzzRandom;
  readonly originMs: number;
}

interface Scene {
  readonly session: string;
  readonly token: string;
  readonly events: EventReader;
  readonly unsaid: string[];
  readonly queued: Set<number>;
  readonly watchers: Watcher[];
}

/** A producer and its viewers, which run one session after another: speak, interrupt, join, leave, end. */
export class Actor {
  readonly #options: ActorOptions;
  readonly #abort = new AbortController();
  readonly #done: Promise<void>;
  readonly #offered: string[] = [];
  #scene: Scene | undefined;
  #watcherNumber = 0;
  #lastPlayedMs = performance.now();
  #sessions = 0;

  constructor(options: ActorOptions) {
    this.#options = options;
    this.#done = this.#act();
  }

  get sessions(): number {
    return this.#sessions;
  }

  /** @returns how to name it if it does not play: its session, or that it has none. */
  get name(): string {
    return this.#scene?.session ?? `actor ${this.#options.number} has no session`;
  }

  /** Whether a viewer is receiving media, or did a moment ago. */
  playedWithin(ms: number): boolean {
    return performance.now() - this.#lastPlayedMs < ms;
  }

  /** Adds a segment to be spoken in the current session. */
  offer(segment: string): void {
    this.#offered.push(segment);
  }

  replaceViewer(options: { silently?: boolean }): void {
    const scene = this.#scene;
    if (!scene) return;
    scene.watchers.shift()?.close(options);
    this.#join(scene);
  }

  /** Waits until the queue has been played and the session has ended; starts no other. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#done;
  }

  get #stopping(): boolean {
    return this.#abort.signal.aborted;
  }

  async #act(): Promise<void> {
    while (!this.#stopping) {
      const session = await this.#options.commands.createSession(this.#options.avatar);
      if (session) await this.#play(session);
      else await sleep(RETRY_MS);
    }
  }

  async #play({ id: session, token }: { id: string; token: string }): Promise<void> {
    const { stack, history, random, segments, originMs, commands } = this.#options;
    const nowMs = () => performance.now() - originMs;
    const scene: Scene = {
      session,
      token,
      unsaid: random.shuffled(segments),
      queued: new Set(),
      watchers: [],
      events: new EventReader({ stack, session, history, nowMs }),
    };
    this.#scene = scene;
    this.#sessions++;
    this.#offered.length = 0;
    this.#lastPlayedMs = performance.now();
    this.#join(scene);
    while (await this.#turn(scene)) await sleep(TURN_MS);
    if (!random.chance(0.3)) await this.#sayAll(scene);
    const ended = await commands.end(session);
    await sleep(LISTEN_AFTER_END_MS);
    this.#scene = undefined;
    this.#lastPlayedMs = performance.now();
    // A session that could not be ended has no last event to wait for.
    await scene.events.close(ended ? EVENTS_MS : 0);
    for (const watcher of scene.watchers) watcher.close();
  }

  /** @returns whether there is another segment to speak. */
  async #turn(scene: Scene): Promise<boolean> {
    const { random, commands } = this.#options;
    this.#poll(scene);
    scene.unsaid.unshift(...this.#offered.splice(0));
    if (this.#stopping || scene.events.ended || scene.unsaid.length === 0 || random.chance(CHANCE.end)) return false;
    this.#moveViewers(scene);
    if (random.chance(CHANCE.interrupt)) await commands.interrupt(scene.session);
    for (const seq of scene.events.finished) scene.queued.delete(seq);
    if (scene.queued.size < QUEUED_AHEAD) await this.#speak(scene);
    return true;
  }

  async #speak({ session, unsaid, queued }: Scene): Promise<void> {
    const { random, commands } = this.#options;
    const segments = unsaid.splice(0, 1 + random.below(MOST_AT_ONCE));
    const seqs = await commands.speak(session, segments, random.chance(CHANCE.replace));
    for (const seq of seqs ?? []) queued.add(seq);
  }

  #moveViewers(scene: Scene): void {
    const { random } = this.#options;
    const { watchers } = scene;
    if (watchers.length < MOST_VIEWERS && random.chance(CHANCE.come)) this.#join(scene);
    if (watchers.length > 1 && random.chance(CHANCE.leave)) watchers.shift()?.close();
    if (random.chance(CHANCE.vanish)) this.replaceViewer({ silently: true });
  }

  async #sayAll(scene: Scene): Promise<void> {
    const untilMs = performance.now() + SAY_ALL_MS;
    const saying = () => [...scene.queued].some((seq) => !scene.events.finished.has(seq));
    while (saying() && !scene.events.ended && performance.now() < untilMs) {
      this.#poll(scene);
      await sleep(TURN_MS);
    }
  }

  #join(scene: Scene): void {
    const { stack, catalog, history, originMs, number } = this.#options;
    const { session, token } = scene;
    const name = `${number}-${++this.#watcherNumber}`;
    scene.watchers.push(new Watcher({ stack, session, token, name, catalog, history, originMs }));
  }

  #poll({ watchers }: Scene): void {
    if (watchers.some(({ playing }) => playing)) this.#lastPlayedMs = performance.now();
  }
}
