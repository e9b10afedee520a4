import { setTimeout as sleep } from 'node:timers/promises';
import type { Stack } from '@humancast/testkit';
import { z } from 'zod';

const sessionSchema = z.object({ id: z.string(), token: z.string() });
const segmentsSchema = z.object({
  segments: z.array(z.object({ id: z.string(), name: z.string(), state: z.string() })),
});
const underrunsSchema = z.object({ underruns: z.number() });
const problemSchema = z.object({ code: z.string() });

export interface BenchSession {
  readonly id: string;
  readonly token: string;
}

const LOAD_TIMEOUT_MS = 120_000;
const POLL_MS = 100;
/** What a session of an avatar is refused with while its clips are being loaded. */
const LOADING = ['avatar_not_found', 'avatar_has_no_idle'];

/** A producer's backend: drives sessions over REST. */
export class Producer {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ signalingUrl, apiKey }: Pick<Stack, 'signalingUrl' | 'apiKey'>) {
    this.#base = `${signalingUrl}/v1/sessions`;
    this.#headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' };
  }

  /** A session of an avatar, as soon as its idle clip is loaded. */
  async createSession(avatar: string): Promise<BenchSession> {
    const deadline = performance.now() + LOAD_TIMEOUT_MS;
    for (;;) {
      const response = await this.#request('POST', '', { avatar });
      if (response.ok) return sessionSchema.parse(await response.json());
      const { code } = problemSchema.parse(await response.json());
      if (!LOADING.includes(code) || performance.now() > deadline) throw new Error(`no session of ${avatar}: ${code}`);
      await sleep(POLL_MS);
    }
  }

  /** The id of a segment that was dropped into the avatar's folder, as soon as it is loaded. */
  async segment(session: string, name: string): Promise<string> {
    const deadline = performance.now() + LOAD_TIMEOUT_MS;
    for (;;) {
      const { segments } = segmentsSchema.parse(await this.#json('GET', `/${session}/segments`));
      const found = segments.find((segment) => segment.name.startsWith(name));
      if (found?.state === 'complete') return found.id;
      if (found?.state === 'failed' || performance.now() > deadline) throw new Error(`segment ${name} was not loaded`);
      await sleep(POLL_MS);
    }
  }

  async speak(session: string, segment: string): Promise<void> {
    await this.#json('POST', `/${session}/speak`, { segments: [segment] });
  }

  async interrupt(session: string): Promise<void> {
    await this.#json('POST', `/${session}/interrupt`);
  }

  /** How often media came late so far, and both tracks held. */
  async underruns(session: string): Promise<number> {
    return underrunsSchema.parse(await this.#json('GET', `/${session}`)).underruns;
  }

  async end(session: string): Promise<void> {
    await (await this.#request('DELETE', `/${session}`)).arrayBuffer();
  }

  async #json(method: string, path: string, body?: unknown): Promise<unknown> {
    const response = await this.#request(method, path, body);
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  #request(method: string, path: string, body?: unknown): Promise<Response> {
    return fetch(`${this.#base}${path}`, {
      method,
      headers: this.#headers,
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(10_000),
    });
  }
}
