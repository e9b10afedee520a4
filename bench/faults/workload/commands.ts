import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FuzzRandom, Stack } from '@humancast/testkit';
import { z } from 'zod';
import type { History, HistoryInput, Outcome } from '../history.ts';

const TIMEOUT_MS = 10_000;
const UPLOAD_TIMEOUT_MS = 30_000;
const RETRY_MS = 500;
const ATTEMPTS = 4;
const sessionSchema = z.object({ id: z.string(), token: z.string() });
const queuedSchema = z.object({ queued: z.array(z.object({ seq: z.int(), segment: z.string() })) });
const interruptedSchema = z.object({ interruptedSeq: z.int() });
const segmentSchema = z.object({ id: z.string() });

type CommandInput = Extract<HistoryInput, { type: 'command' }>;

interface Answer {
  readonly outcome: Outcome;
  readonly status: number;
  readonly body: unknown;
  readonly answer: string;
}

export interface CommandsOptions {
  readonly stack: Pick<Stack, 'signalingUrls' | 'loaderUrl' | 'apiKey'>;
  readonly history: History;
  readonly random: FuzzRandom;
  readonly nowMs: () => number;
}

/** A producer's requests and their outcomes: done, rejected, or unknown. */
export class Commands {
  readonly #options: CommandsOptions;

  constructor(options: CommandsOptions) {
    this.#options = options;
  }

  /** @returns `undefined` if no session was created, or the answer was lost. */
  async createSession(avatar: string): Promise<{ id: string; token: string } | undefined> {
    const { outcome, body } = await this.#signaling('POST', '/v1/sessions', { avatar });
    return outcome === 'ok' ? sessionSchema.parse(body) : undefined;
  }

  /**
   * Attempts with one key are one command, so a command with an unknown outcome is repeated.
   *
   * @returns the queue positions; empty if it was rejected, `undefined` if the outcome is unknown.
   */
  async speak(session: string, segments: readonly string[], interrupt: boolean): Promise<number[] | undefined> {
    const common = { command: 'speak' as const, session, segments: [...segments], interrupt, key: randomUUID() };
    const { outcome, body } = await this.#command(common, { segments, interrupt }, (answered) => ({
      seqs: queuedSchema.parse(answered).queued.map(({ seq }) => seq),
    }));
    if (outcome === 'unknown') return undefined;
    return outcome === 'ok' ? queuedSchema.parse(body).queued.map(({ seq }) => seq) : [];
  }

  async interrupt(session: string): Promise<void> {
    await this.#command({ command: 'interrupt', session, key: randomUUID() }, undefined, (answered) =>
      interruptedSchema.parse(answered),
    );
  }

  /** Repeats until it is answered. @returns whether it was, within the attempts. */
  async end(session: string): Promise<boolean> {
    return this.#untilDone({ command: 'end', session }, () => this.#signaling('DELETE', `/v1/sessions/${session}`));
  }

  async defineAvatar(avatar: string): Promise<boolean> {
    return (await this.#loader('PUT', `/v1/avatars/${avatar}`, {})).outcome === 'ok';
  }

  /** @returns the segment's id once it can be played. */
  async upload(avatar: string, name: string, clip: Blob): Promise<string | undefined> {
    const form = new FormData();
    form.set('file', clip, `${name}.mov`);
    const query = new URLSearchParams({ avatar, name });
    const { outcome, body } = await this.#loader('POST', `/v1/segments?${query}`, form);
    return outcome === 'ok' ? segmentSchema.parse(body).id : undefined;
  }

  deleteSegment(segment: string): Promise<boolean> {
    const ask = () => this.#loader('DELETE', `/v1/segments/${segment}`);
    return this.#untilDone({ command: 'delete', segments: [segment] }, ask);
  }

  /** @param segments the avatar's segments. */
  deleteAvatar(avatar: string, segments: readonly string[]): Promise<boolean> {
    const ask = () => this.#loader('DELETE', `/v1/avatars/${avatar}`);
    return this.#untilDone({ command: 'delete', segments: [...segments] }, ask);
  }

  /** Requests a deleted segment. */
  async lookUp(segment: string): Promise<void> {
    const { status } = await this.#loader('GET', `/v1/segments/${segment}`);
    this.#options.history.add({ type: 'lookup', segment, atMs: this.#options.nowMs(), status });
  }

  /** Sends a command to a session, and repeats it under the same key while its outcome is unknown. */
  async #command(
    common: Pick<CommandInput, 'command' | 'session' | 'segments' | 'interrupt'> & { key: string },
    body: unknown,
    parse: (body: unknown) => Partial<CommandInput>,
  ): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      const sentMs = this.#options.nowMs();
      const path = `/v1/sessions/${common.session}/${common.command}`;
      const answer = await this.#signaling('POST', path, body, { 'idempotency-key': common.key });
      this.#note({ ...common, sentMs, ...(answer.outcome === 'ok' && parse(answer.body)) }, answer);
      if (answer.outcome !== 'unknown' || attempt === ATTEMPTS) return answer;
      await sleep(RETRY_MS);
    }
  }

  /** Repeats an idempotent request. @returns whether it is certainly done. */
  async #untilDone(common: Pick<CommandInput, 'command' | 'session' | 'segments'>, ask: () => Promise<Answer>) {
    for (let attempt = 1; attempt <= 2 * ATTEMPTS; attempt++) {
      const sentMs = this.#options.nowMs();
      const answer = await ask();
      // An earlier attempt may have done it, or it never existed.
      const gone = answer.status === 404 && attempt > 1;
      this.#note({ ...common, sentMs }, gone ? { ...answer, outcome: 'unknown' } : answer);
      if (answer.outcome === 'ok') return true;
      if (gone) return false;
      if (answer.outcome === 'failed' && answer.status !== 429) return false;
      await sleep(2 * RETRY_MS);
    }
    return false;
  }

  #note(command: Omit<CommandInput, 'type' | 'doneMs' | 'outcome'>, { outcome, answer }: Answer): void {
    const { history, nowMs } = this.#options;
    history.add({ type: 'command', ...command, doneMs: nowMs(), outcome, ...(outcome !== 'ok' && { answer }) });
  }

  #signaling(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> {
    const base = this.#options.random.pick(this.#options.stack.signalingUrls);
    return this.#ask(`${base}${path}`, method, { ...jsonBody(body), timeoutMs: TIMEOUT_MS, headers });
  }

  #loader(method: string, path: string, body?: unknown): Promise<Answer> {
    const form = body instanceof FormData;
    const content = form ? { body } : jsonBody(body);
    const timeoutMs = form ? UPLOAD_TIMEOUT_MS : TIMEOUT_MS;
    return this.#ask(`${this.#options.stack.loaderUrl}${path}`, method, { ...content, timeoutMs });
  }

  async #ask(
    url: string,
    method: string,
    {
      body,
      type,
      timeoutMs,
      headers,
    }: RequestContent & { timeoutMs: number; headers?: Record<string, string> | undefined },
  ): Promise<Answer> {
    try {
      const response = await fetch(url, {
        method,
        headers: {
          authorization: `Bearer ${this.#options.stack.apiKey}`,
          ...(type !== undefined && { 'content-type': type }),
          ...headers,
        },
        body: body ?? null,
        signal: AbortSignal.timeout(timeoutMs),
      });
      const text = await response.text();
      const { status } = response;
      const outcome = response.ok ? 'ok' : status < 500 ? 'failed' : 'unknown';
      return {
        outcome,
        status,
        answer: `${status} ${text.slice(0, 200)}`,
        body: response.ok && text ? JSON.parse(text) : {},
      };
    } catch (error) {
      return { outcome: 'unknown', status: 0, answer: (error as Error).message, body: undefined };
    }
  }
}

interface RequestContent {
  readonly body?: string | FormData;
  readonly type?: string;
}

function jsonBody(body: unknown): RequestContent {
  return body === undefined ? {} : { body: JSON.stringify(body), type: 'application/json' };
}
