import type { z } from 'zod';
import { errorOfAnswer } from './problem.js';
import { ProducerError } from './producer-error.js';

export interface CallOptions {
  /** Ends the call, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
  /** The caller's span (W3C Trace Context), under which humancast's are to be. */
  traceparent?: string | undefined;
}

interface Request extends CallOptions {
  json?: unknown;
  form?: FormData;
  headers?: Readonly<Record<string, string>>;
  /** Milliseconds until the whole answer must be there; 0: no limit. */
  timeoutMs?: number;
}

/** HTTP with an API key: every answer is checked, every failure is a {@link ProducerError}. */
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
    throw new ProducerError('bad_answer', `the answer to ${method} ${path} is not as expected`, {
      cause: parsed.error,
    });
  }

  async text(method: string, path: string, request: Request = {}): Promise<string> {
    const { signal, timeoutMs = this.#timeoutMs } = request;
    const timeout = timeoutMs > 0 ? AbortSignal.timeout(timeoutMs) : undefined;
    try {
      const response = await this.#fetch(method, path, request, allOf(signal, timeout));
      return await response.text();
    } catch (error) {
      throw explain(error, signal, `${method} ${path}`);
    }
  }

  /** The answer as it begins, its body unread. */
  async stream(path: string, request: Request): Promise<Response> {
    try {
      return await this.#fetch('GET', path, request, request.signal);
    } catch (error) {
      throw explain(error, request.signal, `GET ${path}`);
    }
  }

  async #fetch(method: string, path: string, request: Request, signal: AbortSignal | undefined): Promise<Response> {
    const { json, form, headers, traceparent } = request;
    const response = await fetch(new URL(path, this.#base), {
      method,
      headers: {
        authorization: `Bearer ${this.#apiKey}`,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(traceparent !== undefined && { traceparent }),
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
