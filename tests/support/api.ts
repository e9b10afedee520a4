import type { Stack } from '@humancast/testkit';

export interface SessionEvent {
  id: string;
  type: string;
  [field: string]: unknown;
}

/** The stack as a producer's backend uses it. */
export class Producer {
  readonly #stack: Stack;

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  async request(method: string, url: string, body?: unknown): Promise<Response> {
    return fetch(url, {
      method,
      headers: {
        authorization: `Bearer ${this.#stack.apiKey}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  }

  async json<T>(method: string, url: string, body?: unknown): Promise<T> {
    const response = await this.request(method, url, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${url}: ${response.status} ${text}`);
    return JSON.parse(text) as T;
  }

  signaling(path: string): string {
    return `${this.#stack.signalingUrl}${path}`;
  }

  async upload(
    avatar: string,
    name: string,
    file: Uint8Array,
  ): Promise<{ id: string; durationMs: number; frames: number }> {
    const form = new FormData();
    form.set('file', new Blob([Uint8Array.from(file)]), name);
    const response = await fetch(`${this.#stack.loaderUrl}/v1/segments?avatar=${avatar}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.#stack.apiKey}` },
      body: form,
    });
    if (response.status !== 201) throw new Error(`upload: ${response.status} ${await response.text()}`);
    return (await response.json()) as { id: string; durationMs: number; frames: number };
  }

  /** How many idle clips an avatar has that are loaded. */
  async idleCount(avatar: string): Promise<number> {
    const response = await this.request('GET', `${this.#stack.loaderUrl}/v1/avatars/${avatar}`);
    if (!response.ok) return 0;
    return ((await response.json()) as { idlePlaylist: string[] }).idlePlaylist.length;
  }

  createSession(avatar: string): Promise<{ id: string; token: string }> {
    return this.json('POST', this.signaling('/v1/sessions'), { avatar });
  }

  session(id: string): Promise<{ host: string; state: string; playhead?: { role: string; segment: string } }> {
    return this.json('GET', this.signaling(`/v1/sessions/${id}`));
  }

  speak(id: string, segments: string[], interrupt = false): Promise<{ queued: { seq: number; segment: string }[] }> {
    return this.json('POST', this.signaling(`/v1/sessions/${id}/speak`), { segments, interrupt });
  }

  interrupt(id: string): Promise<unknown> {
    return this.json('POST', this.signaling(`/v1/sessions/${id}/interrupt`));
  }

  end(id: string): Promise<Response> {
    return this.request('DELETE', this.signaling(`/v1/sessions/${id}`));
  }

  /** All events of a session so far. */
  async events(id: string): Promise<SessionEvent[]> {
    const abort = new AbortController();
    const response = await fetch(this.signaling(`/v1/sessions/${id}/events?from=start`), {
      headers: { authorization: `Bearer ${this.#stack.apiKey}` },
      signal: abort.signal,
    });
    const events: SessionEvent[] = [];
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    // What is there already comes at once; silence means that it was all.
    for (;;) {
      const chunk = await Promise.race([reader?.read(), new Promise<undefined>((resolve) => setTimeout(resolve, 300))]);
      if (!chunk || chunk.done) break;
      text += chunk.value;
    }
    abort.abort();
    for (const line of text.split('\n')) {
      if (line.startsWith('data:')) events.push(JSON.parse(line.slice(5)) as SessionEvent);
    }
    return events;
  }
}
