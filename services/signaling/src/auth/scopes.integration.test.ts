import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, type SegmentManifest, signToken } from '@humancast/shared';
import { type LoggedLine, recordingLogger } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FakeSender } from '../../testing/fake-sender.js';
import { API_KEY, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';
import { TestViewer } from '../../testing/test-viewer.js';

const KEYS = `
backend:key-of-the-backend sessions
backend:key-of-its-successor sessions
other:key-of-another sessions,media
uploader:key-of-the-uploader media
tts:key-of-the-tts speak
operator:key-of-the-operator operate
anna-only:key-for-anna sessions,media,speak,operate anna
`;
const OFFER =
  'v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:EsAw\r\n';

type KeyName = 'backend' | 'successor' | 'other' | 'uploader' | 'tts' | 'operator' | 'anna';
const KEY: Record<KeyName, string> = {
  backend: 'key-of-the-backend',
  successor: 'key-of-its-successor',
  other: 'key-of-another',
  uploader: 'key-of-the-uploader',
  tts: 'key-of-the-tts',
  operator: 'key-of-the-operator',
  anna: 'key-for-anna',
};

describe('API keys at signaling', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let demo: TestSignaling;
  let sender: FakeSender;
  let folder: string;
  let apiKeyFile: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-scopes-'));
    apiKeyFile = join(folder, 'api-keys');
    writeFileSync(apiKeyFile, KEYS);
    stack = await TestStack.start();
    await stack.addAvatar('anna');
    [signaling, demo] = await Promise.all([
      stack.signaling({ apiKeyFile }),
      stack.signaling({ apiKeyFile, publicDemo: true }),
    ]);
    sender = await FakeSender.start(stack.queueUrl);
  });
  afterAll(async () => {
    await sender.stop();
    await stack.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const request = (key: KeyName, method: string, path: string, body?: unknown, at = signaling) =>
    at.request(method, path, { auth: KEY[key], ...(body !== undefined && { body }) });
  const make = async (auth: string, avatar = 'demo', at = signaling) =>
    (await at.request('POST', '/v1/sessions', { auth, body: { avatar } })).body as { id: string; token: string };
  const statuses = async (key: KeyName, session: string): Promise<Record<string, number>> => {
    const path = `/v1/sessions/${session}`;
    const segments = [await stack.addSegment()];
    return {
      state: (await request(key, 'GET', path)).status,
      segments: (await request(key, 'GET', `${path}/segments`)).status,
      interrupt: (await request(key, 'POST', `${path}/interrupt`)).status,
      speak: (await request(key, 'POST', `${path}/speak`, { segments })).status,
      // 404 not_found: permitted, but there is no demo producer.
      say: (await request(key, 'POST', `${path}/say`, { text: 'hello' })).status,
      end: (await request(key, 'DELETE', path)).status,
    };
  };

  describe('a session', () => {
    it.each<[string, KeyName, Record<string, number>]>([
      ['the key that made it', 'backend', { state: 200, segments: 200, interrupt: 202, speak: 202, end: 204 }],
      ['another key of its name', 'successor', { state: 200, segments: 200, interrupt: 202, speak: 202, end: 204 }],
      ['another key', 'other', { state: 404, segments: 404, interrupt: 404, speak: 404, end: 404 }],
      ['a key for media', 'uploader', { state: 403, segments: 403, interrupt: 403, speak: 403, end: 403 }],
      ['a key that speaks', 'tts', { state: 200, segments: 200, interrupt: 202, speak: 202, end: 403 }],
      ['an operator', 'operator', { state: 200, segments: 200, interrupt: 202, speak: 403, end: 204 }],
      ['a key for another avatar', 'anna', { state: 403, segments: 403, interrupt: 403, speak: 403, end: 403 }],
    ])('belongs to its key: %s', async (_, key, expected) => {
      const { id } = await make(KEY.backend);
      expect(await statuses(key, id)).toMatchObject(expected);
    });

    it.each<[string, KeyName, Record<string, number>]>([
      ['a key with sessions only', 'backend', { state: 404, interrupt: 404, speak: 404, say: 404, end: 404 }],
      ['a key that speaks', 'tts', { state: 200, interrupt: 202, speak: 202, end: 403 }],
      ['an operator', 'operator', { state: 200, interrupt: 202, speak: 403, end: 204 }],
    ])('of a visitor belongs to no key: %s', async (_, key, expected) => {
      const { id } = await make('', 'demo', demo);
      expect(await statuses(key, id)).toMatchObject(expected);
    });

    it('is not found for another key, as if it did not exist', async () => {
      const { id } = await make(KEY.backend);
      const foreign = await request('other', 'GET', `/v1/sessions/${id}`);
      const absent = await request('other', 'GET', `/v1/sessions/${newId('ses')}`);
      expect([foreign.body.code, absent.body.code]).toEqual(['session_not_found', 'session_not_found']);
      for (const path of [`${id}/events`, `${id}/segments`]) {
        expect(await request('other', 'GET', `/v1/sessions/${path}`)).toMatchObject({
          body: { code: 'session_not_found' },
        });
      }
    });

    it('shows its owner only to API keys', async () => {
      const { id, token } = await make(KEY.backend);
      expect((await request('operator', 'GET', `/v1/sessions/${id}`)).body.owner).toBe('backend');
      expect((await signaling.request('GET', `/v1/sessions/${id}`, { auth: token })).body).not.toHaveProperty('owner');
    });

    it('can be watched over WHEP only with its own key', async () => {
      const { id } = await make(KEY.backend);
      const watch = async (key: KeyName, path: string) => {
        const headers = { 'content-type': 'application/sdp' };
        return (await signaling.request('POST', path, { auth: KEY[key], body: OFFER, headers })).status;
      };
      expect(await watch('other', `/whep/demo?session=${id}`)).toBe(404);
      expect(await watch('uploader', `/whep/demo`)).toBe(403);
      expect(await watch('anna', `/whep/demo`)).toBe(403);
      expect(await watch('backend', `/whep/demo?session=${id}`)).toBe(201);
    });
  });

  it('create sessions of allowed avatars with the scope `sessions`', async () => {
    const tried = (key: KeyName, avatar: string, at = signaling) =>
      request(key, 'POST', '/v1/sessions', { avatar }, at);
    expect(await tried('backend', 'demo')).toMatchObject({ status: 201, body: { scope: 'view' } });
    expect(await tried('anna', 'anna')).toMatchObject({ status: 201, body: { scope: 'view' } });
    const wrongAvatar = { code: 'forbidden', avatar: 'demo' };
    expect(await tried('anna', 'demo')).toMatchObject({ status: 403, body: wrongAvatar });
    for (const at of [signaling, demo]) {
      for (const key of ['uploader', 'tts', 'operator'] as const) {
        const rejected = { code: 'forbidden', scope: 'sessions' };
        expect(await tried(key, 'demo', at)).toMatchObject({ status: 403, body: rejected });
      }
    }
  });

  it('list their own sessions, or all with the scope `operate`', async () => {
    const [mine, other, visitors] = [await make(KEY.backend), await make(KEY.other), await make('', 'demo', demo)];
    const seen = async (key: KeyName) => {
      const { sessions } = (await request(key, 'GET', '/v1/sessions')).body as { sessions: { id: string }[] };
      return [mine, other, visitors].map(({ id }) => sessions.some((session) => session.id === id));
    };
    expect(await seen('backend')).toEqual([true, false, false]);
    expect(await seen('successor')).toEqual([true, false, false]);
    expect(await seen('other')).toEqual([false, true, false]);
    expect(await seen('operator')).toEqual([true, true, true]);
    expect(await seen('anna')).toEqual([false, false, false]);
    for (const key of ['uploader', 'tts'] as const)
      expect((await request(key, 'GET', '/v1/sessions')).status).toBe(403);
  });

  it('list and drain media-senders only with the scope `operate`', async () => {
    for (const key of ['backend', 'other', 'uploader', 'tts'] as const) {
      expect(await request(key, 'GET', '/v1/senders')).toMatchObject({ status: 403, body: { scope: 'operate' } });
      const drained = await request(key, 'POST', `/v1/senders/${sender.id}/drain`);
      expect(drained).toMatchObject({ status: 403, body: { code: 'forbidden', scope: 'operate' } });
    }
    expect(sender.mail.filter(({ type }) => type === 'sender.drain')).toEqual([]);
    expect((await request('operator', 'GET', '/v1/senders')).status).toBe(200);
  });

  it('list the avatars that they may use', async () => {
    const ids = async (key: KeyName) =>
      ((await request(key, 'GET', '/v1/avatars')).body.avatars as { id: string }[]).map(({ id }) => id).sort();
    expect(await ids('anna')).toEqual(['anna']);
    expect(await ids('tts')).toEqual(['anna', 'demo']);
  });

  it('see the folder problems of avatars that they may use; callers without a key see none', async () => {
    const problem = { file: 'idle/gone.mp4', code: 'library_entry_unusable', message: 'the link leads nowhere' };
    const stray = { ...problem, file: 'stray.mp4' };
    await stack.avatars.publishProblems(
      new Map<string | undefined, (typeof problem)[]>([
        ['demo', [problem]],
        ['anna', Array.from({ length: 60 }, () => problem)],
        [undefined, [stray]],
      ]),
    );
    const anna = { id: 'anna', name: 'anna', problemCount: 60, problems: new Array(50).fill(problem) as unknown };
    const demo = { id: 'demo', name: 'demo', problemCount: 1, problems: [problem] };
    expect((await request('anna', 'GET', '/v1/avatars')).body).toEqual({ avatars: [anna] });
    expect((await request('tts', 'GET', '/v1/avatars')).body).toEqual({ avatars: [anna, demo], problems: [stray] });
    await stack.avatars.publishProblems(new Map());
    expect((await request('tts', 'GET', '/v1/avatars')).body).toMatchObject({
      avatars: [{ problems: [] }, { problems: [] }],
    });
  });

  it('are rejected once removed from the file, and changed scopes take effect', async () => {
    const file = join(folder, 'changing');
    writeFileSync(file, 'gone:key-to-go sessions\nstays:key-to-stay sessions\n');
    const own = await stack.signaling({ apiKeyFile: file });
    const list = async (auth: string) => (await own.request('GET', '/v1/senders', { auth })).status;
    expect([await list('key-to-go'), await list('key-to-stay')]).toEqual([403, 403]);
    writeFileSync(file, 'stays:key-to-stay sessions,operate\n');
    await expect.poll(() => list('key-to-stay'), { timeout: 10_000 }).toBe(200);
    expect(await list('key-to-go')).toBe(401);
    expect(await list(API_KEY)).toBe(200);
    await own.close();
  });

  describe('usable segments', () => {
    let mine: { id: string; token: string };
    let theirs: string;
    let control: string;
    let segments: Record<string, string>;
    beforeAll(async () => {
      mine = await make('', 'demo', demo);
      control = mine.token;
      theirs = (await make(KEY.other)).id;
      const add = (overrides: Partial<SegmentManifest>) => stack.addSegment(overrides);
      segments = {
        library: await add({ source: 'library' }),
        upload: await add({ source: 'upload', owner: 'other' }),
        pushedHere: await add({ source: 'live', state: 'open', session: mine.id, owner: 'tts' }),
        pushedThere: await add({ source: 'live', state: 'open', session: theirs, owner: 'other' }),
      };
    });

    const speakable = async (auth: string, session: string) => {
      const path = `/v1/sessions/${session}`;
      const { body } = await signaling.request('GET', `${path}/segments`, { auth });
      const listed = new Set((body.segments as { id: string }[]).map(({ id }) => id));
      const names: string[] = [];
      for (const [name, id] of Object.entries(segments)) {
        const { status, body } = await signaling.request('POST', `${path}/speak`, { auth, body: { segments: [id] } });
        if (status !== 202) expect(body).toMatchObject({ status: 404, code: 'segment_not_found' });
        expect([name, listed.has(id)]).toEqual([name, status === 202]);
        if (status === 202) names.push(name);
      }
      return names;
    };

    it('for a visitor are those of the watched folder and of this session', async () => {
      expect(await speakable(control, mine.id)).toEqual(['library', 'pushedHere']);
    });

    it("for a key are the avatar's, without those that others pushed into other sessions", async () => {
      const own = await make(KEY.backend);
      expect(await speakable(KEY.backend, own.id)).toEqual(['library', 'upload']);
      expect(await speakable(KEY.tts, mine.id)).toEqual(['library', 'upload', 'pushedHere']);
      expect(await speakable(KEY.other, theirs)).toEqual(['library', 'upload', 'pushedThere']);
      expect(await speakable(API_KEY, own.id)).toEqual(['library', 'upload', 'pushedHere', 'pushedThere']);
    });

    it('for a viewer are only those that its session plays, has queued or has played', async () => {
      const session = await make(KEY.other);
      const list = async () => {
        const { body } = await signaling.request('GET', `/v1/sessions/${session.id}/segments`, { auth: session.token });
        return body.segments as Record<string, unknown>[];
      };
      expect(await list()).toEqual([]);
      const viewer = await TestViewer.join(signaling, session);
      await viewer.received('offer');
      const [first, second] = [await stack.addSegment(), await stack.addSegment()];
      await request('other', 'POST', `/v1/sessions/${session.id}/speak`, { segments: [first, second] });
      const { epoch } = await sender.registry.get(session.id);
      await sender.registry.speechStarted(session.id, epoch, { seq: 1, segment: first });
      const finished = { type: 'speech.finished', seq: 1, segment: first, positionMs: 1, interrupted: false } as const;
      await sender.registry.speechFinished(session.id, epoch, { ...finished, reason: 'finished' });
      const shown = await list();
      expect(shown.map(({ id }) => id)).toEqual([second, first]);
      for (const segment of shown) expect(Object.keys(segment)).not.toEqual(expect.arrayContaining(['owner']));
      viewer.ws.close();
    });
  });

  it('appear in the log of every change', async () => {
    const lines: LoggedLine[] = [];
    const logged = await stack.signaling({ apiKeyFile, publicDemo: true }, {}, recordingLogger(lines));
    const { id } = await make(KEY.backend, 'demo', logged);
    const path = `/v1/sessions/${id}`;
    const segments = [await stack.addSegment()];
    await request('successor', 'POST', `${path}/speak`, { segments }, logged);
    await request('tts', 'POST', `${path}/interrupt`, undefined, logged);
    await request('operator', 'DELETE', path, undefined, logged);
    const visitors = await make('', 'demo', logged);
    const of = (session: string) =>
      lines.filter((line) => line['session'] === session).map(({ msg, ...fields }) => [msg, fields['key']]);
    expect(of(id)).toEqual([
      ['session created', 'backend'],
      ['segments queued', 'backend'],
      ['session interrupted', 'tts'],
      ['session ended', 'operator'],
    ]);
    expect(of(visitors.id)).toEqual([['session created', undefined]]);
    expect(JSON.stringify(lines)).not.toMatch(/key-of|eyJ/);
    await logged.close();
  });

  it('logs the line numbers of malformed lines in the file, not their content', async () => {
    const lines: LoggedLine[] = [];
    const file = join(folder, 'wrong');
    writeFileSync(file, 'good:key-that-is-good sessions\nbad:key-that-is-bad everything\n');
    const logged = await stack.signaling({ apiKeyFile: file }, {}, recordingLogger(lines));
    expect((await logged.request('GET', '/v1/avatars', { auth: 'key-that-is-good' })).status).toBe(200);
    expect((await logged.request('GET', '/v1/avatars', { auth: 'key-that-is-bad' })).status).toBe(401);
    const warnings = lines.filter(({ level }) => level === 'warn').map(({ msg }) => msg);
    expect(warnings).toEqual([expect.stringContaining('line 2 of the API keys is ignored')]);
    expect(JSON.stringify(lines)).not.toContain('key-that-is-bad');
    await logged.close();
  });

  it('a token of another service or session is rejected', async () => {
    const { id } = await make(KEY.backend);
    const exp = Math.floor(Date.now() / 1000) + 60;
    const foreign = await signToken({ sid: newId('ses'), exp, scope: 'control' }, ['secret-of-the-tests']);
    for (const [method, rest] of [
      ['GET', ''],
      ['GET', '/events'],
      ['POST', '/speak'],
      ['DELETE', ''],
    ] as const) {
      const { status } = await signaling.request(method, `/v1/sessions/${id}${rest}`, { auth: foreign });
      expect(status).toBe(403);
    }
  });
});
