import { Humancast, type NewSession, ProducerError, type SessionEvent } from '@humancast/producer';
import { waitFor } from './wait.js';

export interface ProducerTarget {
  readonly signalingUrl: string;
  readonly apiKey: string;
  readonly loaderUrl?: string;
}

/** An event with access to any field. */
export type PastEvent = SessionEvent & { readonly [field: string]: unknown };

const LOAD_TIMEOUT_MS = 120_000;
/** Errors that reject a session while the avatar's clips are loading. */
const LOADING = ['avatar_not_found', 'avatar_has_no_idle'];
/** Silence after which all past events have arrived, ms. */
const PAST_EVENTS_MS = 300;

/** A producer's backend: the product's client, and requests that only tests and benchmarks make. */
export class Producer extends Humancast {
  readonly #target: ProducerTarget;

  constructor(target: ProducerTarget) {
    super(target);
    this.#target = target;
  }

  /** Creates a session once the avatar's idle clip is loaded. */
  override async createSession(avatar: string): Promise<NewSession> {
    const create = () =>
      super.createSession(avatar).catch((error: unknown) => {
        if (error instanceof ProducerError && LOADING.includes(error.code)) return undefined;
        throw error;
      });
    return waitFor(`an idle clip of ${avatar}`, create, undefined, LOAD_TIMEOUT_MS);
  }

  /** @returns the id of the loaded segment of the session's avatar whose name starts with `name`. */
  async segmentNamed(session: string, name: string): Promise<string> {
    const url = this.signaling(`/v1/sessions/${session}/segments`);
    const list = () => this.json<{ segments: { id: string; name: string; state: string }[] }>('GET', url);
    const find = async () => (await list()).segments.find((segment) => segment.name.startsWith(name));
    const isOver = (segment: Awaited<ReturnType<typeof find>>) => segment !== undefined && segment.state !== 'open';
    const segment = await waitFor(`segment ${name}`, find, isOver, LOAD_TIMEOUT_MS);
    if (segment?.state !== 'complete') throw new Error(`segment ${name} failed to load`);
    return segment.id;
  }

  upload(avatar: string, name: string, file: Uint8Array) {
    return this.uploadSegment(avatar, new Blob([Uint8Array.from(file)]), { name });
  }

  /** @returns the number of loaded idle clips of an avatar. */
  async idleCount(avatar: string): Promise<number> {
    const response = await this.request('GET', `${this.#target.loaderUrl}/v1/avatars/${avatar}`);
    return response.ok ? ((await response.json()) as { idlePlaylist: string[] }).idlePlaylist.length : 0;
  }

  /** Waits until an avatar has exactly this many loaded idle clips. @param timeoutMs see {@link waitFor}. */
  async idleLoaded(avatar: string, count = 1, timeoutMs?: number): Promise<void> {
    const isDone = (loaded: number) => loaded === count;
    await waitFor(`${count} idle clips of ${avatar} are loaded`, () => this.idleCount(avatar), isDone, timeoutMs);
  }

  /** @returns the id of the media-sender that hosts a session. */
  async hostOf(session: string): Promise<string> {
    const { host } = await this.session(session);
    if (host === undefined) throw new Error(`${session} has no host`);
    return host;
  }

  /** @returns how often playout has waited for late media so far. */
  async underruns(session: string): Promise<number> {
    const { underruns } = await this.session(session);
    if (underruns === undefined) throw new Error(`the host of ${session} does not respond`);
    return underruns;
  }

  /** @returns all events of a session so far. */
  async pastEvents(session: string): Promise<PastEvent[]> {
    const abort = new AbortController();
    const events: PastEvent[] = [];
    let silence: NodeJS.Timeout | undefined;
    const listen = () => {
      clearTimeout(silence);
      silence = setTimeout(() => abort.abort(), PAST_EVENTS_MS);
    };
    for await (const event of this.events(session, { from: 'start', signal: abort.signal, onConnected: listen })) {
      events.push(event as PastEvent);
      listen();
    }
    clearTimeout(silence);
    return events;
  }

  /** Sends one request with the API key, without retries. */
  request(method: string, url: string, body?: unknown): Promise<Response> {
    const { apiKey } = this.#target;
    const headers = { authorization: `Bearer ${apiKey}` };
    if (body === undefined) return fetch(url, { method, headers });
    const json = { ...headers, 'content-type': 'application/json' };
    return fetch(url, { method, headers: json, body: JSON.stringify(body) });
  }

  /** @throws Error unless the answer's status is 2xx. */
  async json<T>(method: string, url: string, body?: unknown): Promise<T> {
    const response = await this.request(method, url, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  signaling(path: string): string {
    return `${this.#target.signalingUrl}${path}`;
  }
}
