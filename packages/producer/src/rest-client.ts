import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { errorOfAnswer } from './problem.js';
import { ProducerError } from './producer-error.js';

export interface CallOptions {
  /** Aborts the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The caller's span (W3C Trace Context), the parent of humancast's spans. */
  traceparent?: string | undefined;
}

interface Request extends CallOptions {
  json?: unknown;
  form?: FormData;
  headers?: Readonly<Record<string, string>>;
  /** Idempotency key of a command, so that it is executed once however often it is sent. */
  idempotencyKey?: string | undefined;
  /** Time limit for the whole answer, ms; 0 means none. */
  timeoutMs?: number;
}

/** Delays before a command is repeated, ms; they count toward the time limit. */
const RETRY_MS = [250, 1000, 3000] as const;

/** HTTP client with an API key: every answer is checked, and every failure is a {@link ProducerError}. */
export class RestClient {
  readonly #base: URL;
  readonly #apiKey: string;
  readonly #timeoutMs: number;

  constructor(options: { url: string; apiKey: string; timeoutMs: number }) {
    this.#base = new URL(options.url);
    this.#apiKey = options.apiKey;
    this.#timeoutMs = options.timeoutMs;
  }

  async json<T>(method: string, path: string, schema: z.ZodType<T, unknown>, request: Request = {}): Promise<T> {
    const text = await this.text(method, path, request);
    const parsed = schema.safeParse(parseJson(text));
    if (parsed.success) return parsed.data;
    throw new ProducerError('bad_answer', `the answer to ${method} ${path} has an unexpected format`, {
      cause: parsed.error,
    });
  }

  async text(method: string, path: string, request: Request = {}): Promise<string> {
    const { signal, timeoutMs = this.#timeoutMs } = request;
    const timeout = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined;
    const either = allOf(signal, timeout);
    // The same key for all attempts: humancast executes the command once, even if its answer was lost.
    const idempotencyKey = method === 'POST' ? (request.idempotencyKey ?? randomUUID()) : undefined;
    for (const pauseMs of [...RETRY_MS, undefined]) {
      try {
        const response = await this.#fetch(method, path, { ...request, idempotencyKey }, either);
        return await response.text();
      } catch (error) {
        const failure = explain(error, signal, `${method} ${path}`);
        if (pauseMs === undefined || idempotencyKey === undefined || !mayPass(failure)) throw failure;
        await sleep(pauseMs, undefined, { signal: either }).catch(() => {
          throw failure;
        });
      }
    }
    throw new Error('unreachable');
  }

  /** @returns The answer with its body unread. */
  async stream(path: string, request: Request): Promise<Response> {
    try {
      return await this.#fetch('GET', path, request, request.signal);
    } catch (error) {
      throw explain(error, request.signal, `GET ${path}`);
    }
  }

  async #fetch(method: string, path: string, request: Request, signal: AbortSignal | undefined): Promise<Response> {
    const { json, form, headers, traceparent, idempotencyKey } = request;
    const response = await fetch(new URL(path, this.#base), {
      method,
      headers: {
        authorization: `Bearer ${this.#apiKey}`,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(traceparent !== undefined && { traceparent }),
        ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        ...headers,
      },
      body: json === undefined ? (form ?? null) : JSON.stringify(json),
      signal: signal ?? null,
    });
    if (response.ok) return response;
    throw errorOfAnswer(response.status, await response.text(), response.headers.get('retry-after'));
  }
}

function allOf(...signals: (AbortSignal | undefined)[]): AbortSignal {
  return AbortSignal.any(signals.filter((signal) => signal !== undefined));
}

/** Whether a retry may succeed soon. */
function mayPass(error: unknown): boolean {
  return error instanceof ProducerError && ['unreachable', 'unavailable'].includes(error.code);
}

function explain(error: unknown, signal: AbortSignal | undefined, what: string): unknown {
  if (error instanceof ProducerError) return error;
  if (signal?.aborted) return signal.reason;
  if ((error as Error).name === 'TimeoutError') {
    return new ProducerError('timeout', `${what}: no answer in time`, { cause: error });
  }
  return new ProducerError('unreachable', `${what}: humancast cannot be reached`, { cause: error });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
