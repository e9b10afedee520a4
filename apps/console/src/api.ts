import type { AvatarOverviewList, NewSession, Said, SessionDetails, SessionSegment } from '@humancast/protocol';

/** Requests to signaling. Every function throws only {@link ApiError}. */

/** Name of the segments that the demo producer makes of typed text and deletes once they have played. */
export const TYPED_NAME = 'Typed text';

export interface Credentials {
  id: string;
  token: string;
}

/** A problem document (RFC 9457), or `unreachable` if there was no answer. */
export class ApiError extends Error {
  readonly code: string;
  readonly retryAfterMs: number | undefined;

  constructor(code: string, message: string, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }
}

export async function listAvatars(): Promise<AvatarOverviewList['avatars']> {
  return (await ask<AvatarOverviewList>('GET', '/v1/avatars')).avatars;
}

export function createSession(avatar: string): Promise<NewSession> {
  return ask('POST', '/v1/sessions', { body: { avatar } });
}

export async function listSegments({ id, token }: Credentials): Promise<SessionSegment[]> {
  return (await ask<{ segments: SessionSegment[] }>('GET', `/v1/sessions/${id}/segments`, { token })).segments;
}

export function getSession({ id, token }: Credentials): Promise<SessionDetails> {
  return ask('GET', `/v1/sessions/${id}`, { token });
}

export async function speak({ id, token }: Credentials, segment: string): Promise<void> {
  await ask('POST', `/v1/sessions/${id}/speak`, { token, body: { segments: [segment] } });
}

/** Speaks a text instead of the current speech. */
export function say({ id, token }: Credentials, text: string): Promise<Said> {
  return ask('POST', `/v1/sessions/${id}/say`, { token, body: { text, interrupt: true } });
}

const TIMEOUT_MS = 15_000;

/** The page's folder: behind a proxy, everything may be under a path prefix. */
export const BASE_URL = new URL('.', document.baseURI);

/** @param path from the server's root, with its leading slash */
export function urlOf(path: string): URL {
  return new URL(path.slice(1), BASE_URL);
}

/**
 * @returns A random idempotency key. `crypto.randomUUID` needs a secure context, and the console may be served over plain
 * HTTP.
 */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @throws ApiError on any failure. */
export async function ask<T>(
  method: string,
  path: string,
  options: { token?: string; body?: unknown } = {},
): Promise<T> {
  const { token, body } = options;
  let response: Response;
  try {
    response = await fetch(urlOf(path), {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        // A browser or a proxy may repeat a request whose connection was lost.
        ...(method === 'POST' && { 'idempotency-key': newKey() }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ApiError('unreachable', 'The server cannot be reached.');
  }
  if (response.status === 204) return undefined as T;
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok && typeof answer === 'object' && answer !== null) return answer as T;
  const { code = 'internal', detail = '' } = (answer ?? {}) as { code?: string; detail?: string };
  const retryAfterS = Number(response.headers.get('retry-after') ?? Number.NaN);
  throw new ApiError(code, detail, Number.isFinite(retryAfterS) ? retryAfterS * 1000 : undefined);
}
