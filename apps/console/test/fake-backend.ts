import type { IncomingMessage, ServerResponse } from 'node:http';
import { FakeSignaling } from '../../../packages/client/test/fake-signaling.js';
import type { BuiltPage } from './built-page.js';

/** In the shape of {@link FakeSignaling}'s video. */
const POSTER =
  '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="240"><rect width="320" height="240"/></svg>';

/** The REST API and the built page, around a {@link FakeSignaling}. */
export class FakeBackend {
  readonly signaling: FakeSignaling;
  readonly created: string[] = [];
  readonly spoken: string[] = [];
  readonly texts: string[] = [];
  /** Every requested path. */
  readonly paths: string[] = [];
  /** Path prefix under which the browser sees the page. */
  prefix = '';
  canSay = false;
  avatars = [
    { id: 'demo', name: 'demo' },
    { id: 'front-desk', name: 'Front desk' },
  ];
  segments = [
    { id: 'seg_greeting1', name: 'greeting.mp4', state: 'complete', durationMs: 4200 },
    { id: 'seg_question', name: 'how-can-i-help.mp4', state: 'complete', durationMs: 6800 },
    { id: 'seg_farewell', name: 'farewell.mp4', state: 'complete', durationMs: 3100 },
  ];
  queue: { seq: number; segment: string }[] = [];
  speaking: { seq: number; segment: string } | undefined;
  /** If set, the answer to `POST /v1/sessions` and `/say`. */
  refusal: { status: number; code: string } | undefined;
  #seq = 0;
  #events = 0;
  readonly #page: BuiltPage;

  constructor(page: BuiltPage) {
    this.#page = page;
    this.signaling = new FakeSignaling((request, response) => this.#serve(request, response));
  }

  start(segment: string): void {
    this.speaking = this.queue.shift() ?? { seq: ++this.#seq, segment };
    this.#event({ type: 'speech.started', ...this.speaking });
  }

  /** Tells what the current speech says. */
  tellText(text: string): void {
    this.#event({ type: 'speech.text', ...this.speaking, text, positionMs: 0, untilMs: 4200 });
  }

  finish(): void {
    if (!this.speaking) return;
    const finished = { ...this.speaking, positionMs: 4200, interrupted: false, reason: 'finished' } as const;
    this.speaking = undefined;
    this.#event({ type: 'speech.finished', ...finished });
  }

  #event(body: object): void {
    const id = `${Date.now()}-${this.#events++}`;
    const event = { id, session: 'ses_12345678', atMs: Date.now(), ...body };
    this.signaling.send({ type: 'event', event: event as never });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { pathname: asked } = new URL(request.url ?? '/', 'http://signaling');
    this.paths.push(asked);
    // A proxy in front of signaling would strip the prefix.
    const pathname = asked.startsWith(`${this.prefix}/`) ? asked.slice(this.prefix.length) : asked;
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (pathname === '/v1/avatars') json(200, { avatars: this.avatars });
    else if (pathname === '/v1/sessions') this.#create(json);
    else if (pathname.endsWith('/segments')) json(200, { segments: this.segments });
    else if (pathname.endsWith('/speak')) void this.#speak(request, json);
    else if (pathname.endsWith('/say')) void this.#say(request, json);
    else if (pathname.endsWith('/poster')) response.writeHead(200, { 'content-type': 'image/svg+xml' }).end(POSTER);
    else if (pathname.startsWith('/v1/sessions/')) json(200, this.#state());
    else this.#page.serve(pathname, response);
  }

  #create(json: (status: number, body: unknown) => void): void {
    if (this.refusal) {
      json(this.refusal.status, { code: this.refusal.code, detail: 'refused' });
      return;
    }
    const id = `ses_1234567${this.created.length}`;
    this.created.push(id);
    json(201, { id, avatar: 'demo', token: tokenOf('control') });
  }

  async #speak(request: IncomingMessage, json: (status: number, body: unknown) => void): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { segments } = JSON.parse(Buffer.concat(chunks).toString()) as { segments: string[] };
    this.spoken.push(...segments);
    this.queue.push(...segments.map((segment) => ({ seq: ++this.#seq, segment })));
    json(202, { queued: this.queue });
    if (!this.speaking) this.start(segments[0] ?? '');
  }

  /** Accepts a text; {@link start} starts it. */
  async #say(request: IncomingMessage, json: (status: number, body: unknown) => void): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { text, interrupt } = JSON.parse(Buffer.concat(chunks).toString()) as { text: string; interrupt: boolean };
    if (!interrupt) throw new Error('the console always interrupts');
    this.texts.push(text);
    if (this.refusal) json(this.refusal.status, { code: this.refusal.code, detail: 'refused' });
    else json(202, { segment: `seg_said000${this.texts.length}`, ahead: 0 });
  }

  #state() {
    const { speaking, canSay } = this;
    return {
      canSay,
      queue: [...(speaking ? [speaking] : []), ...this.queue],
      playhead: speaking ? { segment: speaking.segment, role: 'speech' } : { segment: 'seg_idle0001', role: 'idle' },
    };
  }
}

export function tokenOf(scope: 'view' | 'control'): string {
  const claims = { sid: 'ses_12345678', exp: 4_000_000_000, scope };
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'HS256' })}.${part(claims)}.c2lnbmVk`;
}
