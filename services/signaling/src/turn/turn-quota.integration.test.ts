import type { IceServer } from '@humancast/protocol';
import { startTurn, type TestTurn, TurnClient } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

/** coturn's answer at its `user-quota` (RFC 8656 §7.2). */
const QUOTA_REACHED = 486;
const USER_QUOTA = 16;

describe('TURN credentials', () => {
  let stack: TestStack;
  let turn: TestTurn;
  let signaling: TestSignaling;
  const clients: TurnClient[] = [];
  const config = () => ({ publicDemo: true, turnUrls: [turn.url()], turnSecret: turn.secret });
  beforeAll(async () => {
    [stack, turn] = await Promise.all([TestStack.start(), startTurn()]);
    signaling = await stack.signaling(config());
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await stack.stop();
    await turn.stop();
  });

  /** Endpoints at which a caller without a key gets credentials. */
  const endpoints: Record<
    string,
    (at: TestSignaling) => Promise<{ status: number; limit?: string; server?: IceServer }>
  > = {
    'OPTIONS /whep/demo': async (at) => {
      const reply = await at.request('OPTIONS', '/whep/demo', { auth: '' });
      const link = reply.headers.get('link') ?? '';
      const part = (name: string) => new RegExp(`; ${name}="([^"]+)"`).exec(link)?.[1];
      const [username, credential] = [part('username'), part('credential')];
      const server = username !== undefined && credential !== undefined && { urls: [], username, credential };
      return { status: reply.status, limit: reply.body?.limit, ...(server && { server }) };
    },
    'POST /v1/sessions': async (at) => {
      const { status, body } = await at.request('POST', '/v1/sessions', { auth: '', body: { avatar: 'demo' } });
      return { status, limit: body.limit, server: body.iceServers?.[0] };
    },
    join: async (at) => {
      const session = await signaling.makeSession();
      const viewer = await TestViewer.connect(at);
      viewer.send({ type: 'join', session: session.id, token: session.token });
      const answer = await Promise.race([viewer.received('joined'), viewer.received('error')]);
      viewer.ws.close();
      if (answer.type === 'error') return { status: answer.code === 'rate_limited' ? 429 : 0 };
      return { status: 200, ...(answer.iceServers[0] && { server: answer.iceServers[0] }) };
    },
  };

  async function allocate({ username = '', credential = '' }: IceServer): Promise<number | undefined> {
    const client = new TurnClient(turn.port, { username, password: credential });
    clients.push(client);
    return client.allocate();
  }

  async function serverFrom(endpoint: string): Promise<IceServer> {
    const { server } = (await endpoints[endpoint]?.(signaling)) ?? {};
    if (!server) throw new Error(`no credentials from ${endpoint}`);
    return server;
  }

  it.each(Object.keys(endpoints))(
    'of one caller (%s) can be exhausted without affecting the next',
    async (endpoint) => {
      const greedy = await serverFrom(endpoint);
      const verdicts = [];
      for (let i = 0; i < USER_QUOTA + 1; i++) verdicts.push(await allocate(greedy));
      expect(verdicts).toEqual([...Array<number>(USER_QUOTA).fill(0), QUOTA_REACHED]);
      expect(await allocate(await serverFrom(endpoint))).toBe(0);
    },
  );

  it.each(Object.keys(endpoints))('are rate-limited (%s)', async (endpoint) => {
    const strict = await stack.signaling({ ...config(), turnUsersPerHour: 2, sessionLimit: 100_000 });
    const statuses: number[] = [];
    let limit: string | undefined;
    for (let i = 0; i < 3; i++) {
      const answer = await endpoints[endpoint]?.(strict);
      statuses.push(answer?.status ?? 0);
      limit = answer?.limit;
    }
    expect(statuses.slice(0, 2).every((status) => status < 300)).toBe(true);
    expect(statuses[2]).toBe(429);
    if (endpoint !== 'join') expect(limit).toBe('TURN_USERS_PER_HOUR');
    // Requests with an API key are counted by key, not by address.
    expect((await strict.request('OPTIONS', '/whep/demo')).headers.get('link')).toContain('rel="ice-server"');
  });
});
