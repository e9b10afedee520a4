/** What the console asks of signaling. Nothing here throws anything but an {@link ApiError}. */

export interface Avatar {
  id: string;
  name?: string;
}

export interface Segment {
  id: string;
  name: string;
  state: 'open' | 'complete' | 'failed';
  durationMs: number;
}

export interface NewSession {
  id: string;
  token: string;
  avatar: string;
}

/** Of a session's state, what is shown. */
export interface SessionState {
  queue: { seq: number; segment: string }[];
  playhead?: { segment: string; role: 'idle' | 'speech' } | undefined;
}

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

export async function listAvatars(): Promise<Avatar[]> {
  return (await ask<{ avatars: Avatar[] }>('GET', '/v1/avatars')).avatars;
}

export function createSession(avatar: string): Promise<NewSession> {
  return ask('POST', '/v1/sessions', { body: { avatar } });
}

export async function listSegments({ id, token }: Credentials): Promise<Segment[]> {
  return (await ask<{ segments: Segment[] }>('GET', `/v1/sessions/${id}/segments`, { token })).segments;
}

export function getSession({ id, token }: Credentials): Promise<SessionState> {
  return ask('GET', `/v1/sessions/${id}`, { token });
}

export async function speak({ id, token }: Credentials, segment: string): Promise<void> {
  await ask('POST', `/v1/sessions/${id}/speak`, { token, body: { segments: [segment] } });
}

const TIMEOUT_MS = 15_000;

async function ask<T>(method: string, path: string, options: { token?: string; body?: unknown } = {}): Promise<T> {
  const { token, body } = options;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ApiError('unreachable', 'The server cannot be reached.');
  }
  const answer: unknown = await response.json().catch(() => undefined);
  if (response.ok && typeof answer === 'object' && answer !== null) return answer as T;
  const { code = 'internal', detail = '' } = (answer ?? {}) as { code?: string; detail?: string };
  const retryAfterS = Number(response.headers.get('retry-after') ?? Number.NaN);
  throw new ApiError(code, detail, Number.isFinite(retryAfterS) ? retryAfterS * 1000 : undefined);
}
