import type { AvatarOverviewList, NewSession, Said, SessionDetails, SessionSegment } from '@humancast/protocol';

/** What the console asks of signaling. Nothing here throws anything but an {@link ApiError}. */

/** What the demo producer calls the segments that it makes of typed text, and removes when they have been heard. */
export const TYPED_NAME = 'Typed text';

export interface Credentials {
  id: string;
  token: string;
}

/** A problem document (RFC 9457), or `unreachable` when there was no answer at all. */
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

/** In place of whatever is being said. → the segment that it becomes. */
export function say({ id, token }: Credentials, text: string): Promise<Said> {
  return ask('POST', `/v1/sessions/${id}/say`, { token, body: { text, interrupt: true } });
}

const TIMEOUT_MS = 15_000;

/** The folder that the page is in: behind a proxy, everything may lie under a path prefix. */
export const BASE_URL = new URL('.', document.baseURI);

/** @param path from the server's root, with its slash */
export function urlOf(path: string): URL {
  return new URL(path.slice(1), BASE_URL);
}

/** `crypto.randomUUID` is there in secure contexts only, and a console may be reached by plain HTTP. */
function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @throws ApiError whatever goes wrong. */
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
        // A browser, or a proxy, may send a request again whose connection was lost.
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
