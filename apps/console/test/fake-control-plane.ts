import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BuiltPage } from './built-page.js';

export const KEY = 'key-of-the-operator';

/** The API of the operator page, with two media-senders, two sessions, and a viewer that sends reports. */
export class FakeControlPlane {
  /** Requests other than GET, in order. */
  readonly asked: string[] = [];
  readonly senders = [sender('snd_first0001', 'one', 38), sender('snd_second002', 'two', 3)];
  sessions = [
    {
      id: 'ses_watched001',
      avatar: 'mimi',
      state: 'hosted',
      host: 'snd_first0001',
      epoch: 2,
      createdAtMs: Date.now() - 65_000,
      demo: false,
    },
    { id: 'ses_waiting002', avatar: 'otto', state: 'queued', epoch: 0, createdAtMs: Date.now() - 5000, demo: true },
  ];
  avatars: object[] = [avatar('mimi', 'mimi'), avatar('otto', 'Otto')];
  strayProblems: object[] = [];
  skewMs = 7;
  speaking: string | undefined;
  readonly #server: Server;
  readonly #streams = new Set<ServerResponse>();
  readonly #page: BuiltPage;

  constructor(page: BuiltPage) {
    this.#page = page;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  sendEvent(body: object): void {
    const event = { id: `${Date.now()}-0`, session: 'ses_watched001', atMs: Date.now(), ...body };
    for (const stream of this.#streams) stream.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', 'http://signaling');
    if (!pathname.startsWith('/v1/')) return this.#page.serve(pathname, response);
    const json = (status: number, body: unknown) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    if (request.headers.authorization !== `Bearer ${KEY}`)
      return void json(401, { code: 'unauthorized', detail: 'no' });
    if (request.method !== 'GET') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.asked.push(`${request.method} ${pathname} ${Buffer.concat(chunks).toString()}`.trim());
      if (request.method === 'DELETE') this.sessions = this.sessions.filter(({ id }) => !pathname.endsWith(id));
      if (request.method === 'DELETE') response.writeHead(204).end();
      else json(202, {});
    } else if (pathname === '/v1/senders') json(200, { senders: this.senders });
    else if (pathname === '/v1/avatars') json(200, { avatars: this.avatars, problems: this.strayProblems });
    else if (pathname === '/v1/sessions') json(200, { sessions: this.sessions });
    else if (pathname.endsWith('/segments')) json(200, { segments: SEGMENTS });
    else if (pathname.endsWith('/events'))
      this.#streams.add(response.writeHead(200, { 'content-type': 'text/event-stream' }));
    else this.#session(pathname.split('/').at(-1) ?? '', json);
  }

  #session(id: string, json: (status: number, body: unknown) => void): void {
    const summary = this.sessions.find((session) => session.id === id);
    if (!summary) {
      json(404, { code: 'session_not_found', detail: 'none' });
      return;
    }
    const report = {
      atMs: Date.now(),
      skewMs: this.skewMs,
      trimMs: { audio: 0, video: 22 },
      jitterBufferMs: { audio: 61, video: 70 },
      roundTripMs: 18,
      packetsReceived: 99,
      packetsLost: 1,
      bytesReceived: 60_000,
      concealedSamples: 960,
    };
    const sending = { rung: 1, rungs: 3, estimateBps: 700_000 };
    json(200, {
      ...summary,
      viewers: [{ viewer: 'vw_watching0001', joinedAtMs: Date.now() - 60_000, whep: false, sending, report }],
      queue: this.speaking ? [{ seq: 1, segment: this.speaking }] : [],
      live: true,
      playhead: { segment: this.speaking ?? 'seg_idle0001', role: this.speaking ? 'speech' : 'idle', positionMs: 1200 },
      held: false,
      underruns: 0,
      prefetchedMs: 2500,
    });
  }
}

const SEGMENTS = [
  { id: 'seg_welcome01', name: 'welcome.mp4', state: 'complete', durationMs: 4200 },
  { id: 'seg_goodbye02', name: 'good-bye.mp4', state: 'complete', durationMs: 3100 },
];

export function avatar(id: string, name: string, problems: readonly object[] = [], problemCount = problems.length) {
  return { id, name, problemCount, problems };
}

function sender(id: string, hostname: string, sessions: number) {
  return {
    id,
    hostname,
    sessions,
    capacity: 40,
    viewers: sessions,
    draining: false,
    startedAtMs: Date.now() - 3_600_000,
  };
}
