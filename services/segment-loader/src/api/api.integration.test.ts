import { openAsBlob } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { type ClientRequest, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import {
  type Answer,
  API_KEY,
  type AvatarView,
  type SegmentView,
  TestLoader,
} from '../../testing/start-test-loader.js';

const LIMIT_BYTES = 260_000_000;

describe('REST API of segment-loader', () => {
  const clips = new Clips();
  let loader: TestLoader;
  let clip: string;
  beforeAll(async () => {
    loader = await TestLoader.start({ UPLOAD_LIMIT_BYTES: String(LIMIT_BYTES), LOAD_QUEUE_LIMIT: '3' });
    clip = await clips.test('clip.mp4', { seconds: 1, size: '64x64' });
    await loader.defineAvatar('ann');
    await loader.drop(clip, 'lib/idle/a.mp4');
    await loader.avatarBecomes('lib', 'the library', ({ idlePlaylist }) => idlePlaylist.length === 1);
  });
  afterAll(async () => {
    await loader.stop();
    clips.remove();
  });

  async function form(parts: Record<string, string>): Promise<FormData> {
    const data = new FormData();
    for (const [name, path] of Object.entries(parts)) data.set(name, await openAsBlob(path), path.split('/').at(-1));
    return data;
  }

  async function upload(parts: Record<string, string>, query = 'avatar=ann'): Promise<Answer<SegmentView>> {
    return loader.request('POST', `/v1/segments?${query}`, { body: await form(parts) });
  }

  describe('access', () => {
    it('rejects requests without a valid API key', async () => {
      for (const authorization of ['', 'Bearer wrong', 'Basic abc', `Bearer ${API_KEY}x`]) {
        const answer = await loader.request('GET', '/v1/avatars', { headers: { authorization } });
        expect(answer).toMatchObject({ status: 401, body: { code: 'unauthorized', status: 401 } });
        expect(answer.headers.get('content-type')).toContain('application/problem+json');
        expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      }
    });

    it('answers the health and readiness checks without a key', async () => {
      for (const path of ['/healthz', '/readyz']) {
        expect((await loader.request('GET', path, { headers: { authorization: '' } })).status).toBe(200);
      }
    });
  });

  describe('an upload', () => {
    it('is loaded once per Idempotency-Key, and not again after its deletion', async () => {
      const send = async (key: string, query = 'avatar=ann&name=once') =>
        loader.request<SegmentView>('POST', `/v1/segments?${query}`, {
          body: await form({ file: clip }),
          headers: { 'idempotency-key': key },
        });
      const [a, b] = await Promise.all([send('upload-1'), send('upload-1')]);
      expect([a.status, b.status]).toEqual([201, 201]);
      const again = await send('upload-1');
      expect(new Set([a, b, again].map(({ body }) => body.id)).size).toBe(1);
      const found = await loader.request<{ segments: unknown[] }>('GET', '/v1/segments?avatar=ann&q=once');
      expect(found.body.segments).toHaveLength(1);
      expect(await send('upload-1', 'avatar=ann&name=other')).toMatchObject({
        status: 422,
        body: { code: 'idempotency_key_reused' },
      });
      await loader.request('DELETE', `/v1/segments/${a.body.id}`);
      expect(await send('upload-1')).toMatchObject({ status: 404, body: { code: 'segment_not_found' } });
      expect((await send('upload-2')).body.id).not.toBe(a.body.id);
    });

    it('answers 201 with the segment once it can be played', async () => {
      const { status, headers, body } = await upload({ file: clip });
      expect(status).toBe(201);
      expect(headers.get('location')).toBe(`segments/${body.id}`);
      expect(body).toMatchObject({
        avatar: 'ann',
        name: 'clip.mp4',
        role: 'speech',
        source: 'upload',
        state: 'complete',
        durationMs: 1000,
        frames: 30,
        fps: '30',
        renditions: [{ id: 'vp8', codec: 'vp8', width: 64, height: 64 }],
      });
      expect(await loader.store.hasAllParts(body.id)).toBe(true);
      expect((await loader.request('GET', `/v1/segments/${body.id}`)).body).toEqual(body);
      const ttlSeconds = await loader.redis.ttl(`hc:{m:${body.id}}:manifest`);
      expect(ttlSeconds).toBeGreaterThan(86_000);
    });

    it('accepts a video part and an audio part', async () => {
      const audio = await clips.make('audio.wav', ['-f', 'lavfi', '-i', 'sine=d=3']);
      expect(await upload({ video: clip, audio })).toMatchObject({
        status: 201,
        body: { durationMs: 3000, frames: 30 },
      });
    });

    it('is brought to the loudness of the query or the avatar, and keeps its level with "off"', async () => {
      await loader.defineAvatar('loud', { loudness: -20 });
      const quiet = await clips.make('quiet.wav', ['-f', 'lavfi', '-i', 'sine=d=2', '-af', 'volume=-30dB']);
      const peakOf = async (query: string) => {
        const { status, body } = await upload({ video: clip, audio: quiet }, query);
        expect(status).toBe(201);
        const pcm = (await loader.store.readPcm(body.id, 0)) as Buffer;
        const samples = Array.from({ length: 12_000 }, (_, i) => Math.abs(pcm.readInt16LE(2 * (i + 6000))));
        return Math.max(...samples);
      };
      // A sine of −20 LUFS has peaks of about −16 dBFS.
      expect(20 * Math.log10((await peakOf('avatar=loud')) / 32_768)).toBeCloseTo(-16, -0.8);
      expect(20 * Math.log10((await peakOf('avatar=loud&loudness=-30')) / 32_768)).toBeCloseTo(-26, -0.8);
      expect(20 * Math.log10((await peakOf('avatar=loud&loudness=off')) / 32_768)).toBeCloseTo(-48, -0.8);
    });

    it.each(['0', '-8', '-37', 'loud', ''])('with loudness "%s" is rejected with bad_request', async (loudness) => {
      expect(await upload({ file: clip }, `avatar=ann&loudness=${loudness}`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
    });

    describe('as a composition', () => {
      const layers = [{ input: 'studio' }, { input: 'face', key: { color: '#00ff00' } }];
      const composition = { width: 128, height: 72, layout: 'over-background', layers };

      async function compose(parts: readonly (readonly [name: string, value: string | Blob])[]) {
        const body = new FormData();
        for (const [name, value] of parts) body.append(name, value);
        return loader.request<SegmentView & { code?: string; missing?: string[]; detail?: string }>(
          'POST',
          '/v1/segments?avatar=ann&name=both',
          { body },
        );
      }
      let studio: Blob;
      let face: Blob;
      beforeAll(async () => {
        studio = await openAsBlob(
          await clips.make('studio.png', ['-f', 'lavfi', '-i', 'color=blue:s=64x64', '-frames:v', '1']),
        );
        face = await openAsBlob(clip);
      });

      it("becomes one segment of the composition's size", async () => {
        const made = { status: 201, body: { name: 'both', frames: 30, renditions: [{ width: 128, height: 72 }] } };
        const json = JSON.stringify(composition);
        expect(
          await compose([
            ['composition', json],
            ['studio', studio],
            ['face', face],
          ]),
        ).toMatchObject(made);
        const file = new Blob([json], { type: 'application/json' });
        expect(
          await compose([
            ['composition', file],
            ['face', face],
            ['studio', studio],
          ]),
        ).toMatchObject(made);
      });

      it('is rejected with the names of missing inputs and unexpected parts', async () => {
        const json = JSON.stringify(composition);
        expect(
          await compose([
            ['composition', json],
            ['face', face],
          ]),
        ).toMatchObject({
          status: 422,
          body: { code: 'composition_input_missing', missing: ['studio'] },
        });
        expect(
          await compose([
            ['composition', json],
            ['face', face],
            ['sky', studio],
          ]),
        ).toMatchObject({
          status: 400,
          body: { code: 'bad_request', detail: expect.stringContaining('"studio", "face"') as string },
        });
      });

      it('is rejected if the composition is invalid or not the first part', async () => {
        const bad = { status: 400, body: { code: 'bad_request' } };
        expect(await compose([['composition', '{']])).toMatchObject(bad);
        expect(await compose([['composition', '{"width":128}']])).toMatchObject(bad);
        expect(await compose([['composition', `"${'x'.repeat(70_000)}"`]])).toMatchObject(bad);
        expect(await compose([['composition', new Blob(['x'.repeat(70_000)])]])).toMatchObject({
          status: 400,
          body: { code: 'bad_request', detail: expect.stringContaining('larger than 65536 bytes') as string },
        });
        expect(
          await compose([
            ['file', face],
            ['composition', JSON.stringify(composition)],
          ]),
        ).toMatchObject(bad);
        expect((await readdir(loader.scratchDir)).filter((name) => name.includes('upload'))).toEqual([]);
      });
    });

    it('with wait=false answers 202 and reports its state afterward', async () => {
      const good = await upload({ file: clip }, 'avatar=ann&wait=false&name=greeting');
      expect(good).toMatchObject({ status: 202, body: { state: 'open' } });
      const done = await stateOf(good.body.id, ({ state }) => state === 'complete');
      expect(done).toMatchObject({ name: 'greeting', progress: 1, frames: 30 });

      const bad = await upload({ file: await clips.bytes('bad.mp4', 'nothing') }, 'avatar=ann&wait=false');
      expect(bad.status).toBe(202);
      const failed = await stateOf(bad.body.id, ({ state }) => state === 'failed');
      expect(failed).toMatchObject({ failure: { code: 'media_unreadable' }, progress: 0 });
      expect((await loader.request('DELETE', `/v1/segments/${bad.body.id}`)).status).toBe(204);
      expect((await loader.request('GET', `/v1/segments/${bad.body.id}`)).status).toBe(404);
    });

    it('cannot choose where it is stored, and leaves no scratch file', async () => {
      const body = new FormData();
      body.set('file', await openAsBlob(clip), '../../../etc/passwd');
      expect(await loader.request('POST', '/v1/segments?avatar=ann', { body })).toMatchObject({
        status: 201,
        body: { name: 'passwd' },
      });
      expect((await readdir(loader.scratchDir)).filter((name) => name.includes('upload'))).toEqual([]);
    });

    it('of unusable media is rejected with the reason', async () => {
      const cut = await clips.altered('cut.mp4', clip, (bytes) => bytes.subarray(0, bytes.length / 2));
      expect(await upload({ file: cut })).toMatchObject({ status: 422, body: { code: 'media_truncated' } });
      expect(await upload({ file: await clips.bytes('zero', '') })).toMatchObject({
        status: 422,
        body: { code: 'media_unreadable' },
      });
    });

    it('is rejected for an avatar that does not exist', async () => {
      expect(await upload({ file: clip }, 'avatar=nobody')).toMatchObject({
        status: 404,
        body: { code: 'avatar_not_found' },
      });
      expect(await upload({ file: clip }, '')).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      expect(await upload({ file: clip }, 'avatar=../x')).toMatchObject({ status: 400, body: { code: 'bad_request' } });
    });

    it('is rejected unless it is a form with the right parts', async () => {
      const post = (headers: Record<string, string>, body: string) =>
        loader.request('POST', '/v1/segments?avatar=ann', { headers, body });
      expect(await post({ 'content-type': 'video/mp4' }, 'x')).toMatchObject({ status: 415 });
      expect(await post({ 'content-type': 'multipart/form-data' }, 'x')).toMatchObject({ status: 415 });
      const multipart = { 'content-type': 'multipart/form-data; boundary=b' };
      const part = (name: string) => `--b\r\ncontent-disposition: form-data; name="${name}"; filename="f"\r\n\r\nx\r\n`;
      expect(await post(multipart, `${part('other')}--b--\r\n`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
      expect(await post(multipart, `${part('file')}${part('file')}--b--\r\n`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
      expect(await post(multipart, `${part('file')}${part('video')}--b--\r\n`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
      expect(await post(multipart, `${part('audio')}--b--\r\n`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
      expect(await post(multipart, part('file'))).toMatchObject({ status: 400, body: { code: 'upload_incomplete' } });
      expect(await post(multipart, '')).toMatchObject({ status: 400, body: { code: 'upload_incomplete' } });
      const manyParts = Array.from(
        { length: 40 },
        (_, i) => `--b\r\ncontent-disposition: form-data; name="n${i}"\r\n\r\nx\r\n`,
      ).join('');
      expect(await post(multipart, `${manyParts}--b--\r\n`)).toMatchObject({
        status: 400,
        body: { code: 'bad_request' },
      });
    });

    it('with a Content-Length above the limit is rejected before it is read', async () => {
      const { status, body, sentBytes } = await rawUpload({ statedBytes: 10_000_000_000, sendBytes: 10_000_000_000 });
      expect(status).toBe(413);
      expect(body).toMatchObject({ code: 'upload_too_large', limitBytes: LIMIT_BYTES });
      expect(sentBytes).toBeLessThan(LIMIT_BYTES / 2);
    });

    it('receives 100 Continue only when it is admitted', async () => {
      const { status, continued } = await rawUpload({ statedBytes: 10_000_000_000, sendBytes: 0, expect: true });
      expect([status, continued]).toEqual([413, false]);
      const whole = await readFile(clip);
      const wanted = await rawUpload({ content: whole, expect: true });
      expect([wanted.status, wanted.continued]).toEqual([201, true]);
    });

    it('without a Content-Length is stopped at the limit', async () => {
      const { status, body } = await rawUpload({ sendBytes: LIMIT_BYTES + 30_000_000 });
      expect(status).toBe(413);
      expect(body).toMatchObject({ code: 'upload_too_large' });
    });

    it('of 200 MB does not raise memory use', async () => {
      const film = await readFile(clip);
      const free = Buffer.alloc(8);
      free.writeUInt32BE(200_000_000, 0);
      free.write('free', 4, 'latin1');
      const memory = watchMemory();
      const { status, body } = await rawUpload({ content: Buffer.concat([film, free]), sendBytes: 200_000_000 - 8 });
      expect(body).toMatchObject({ frames: 30 });
      expect(status).toBe(201);
      expect(memory.growthBytes()).toBeLessThan(100_000_000);
    });

    it('is forgotten when its sender disconnects', async () => {
      const request = startUpload({ 'transfer-encoding': 'chunked' });
      request.on('error', () => {});
      request.write(formHead());
      request.write(Buffer.alloc(1_000_000));
      await waitFor('the upload to begin', async () => /humancast_loader_uploads\S* 1\n/.test(await loader.metrics()));
      request.destroy();
      await waitFor('the upload to be forgotten', async () =>
        /humancast_loader_uploads\S* 0\n/.test(await loader.metrics()),
      );
    });

    it('is canceled when its sender disconnects during encoding', async () => {
      const long = await clips.test('long.mp4', {
        seconds: 60,
        size: '320x240',
        output: ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'],
      });
      const abort = new AbortController();
      const request = form({ file: long }).then((body) =>
        loader.request('POST', '/v1/segments?avatar=ann', { body, signal: abort.signal }),
      );
      const rejected = expect(request).rejects.toThrow();
      await waitFor('the load to begin', async () =>
        /humancast_loader_running_loads\S* 1\n/.test(await loader.metrics()),
      );
      abort.abort();
      await rejected;
      await waitFor('the load to end', async () =>
        /humancast_loader_running_loads\S* 0\n/.test(await loader.metrics()),
      );
    });

    it('beyond the limit of concurrent uploads is rejected with Retry-After', async () => {
      const open = [1, 2, 3].map(() => {
        const request = startUpload({ 'transfer-encoding': 'chunked' });
        request.on('error', () => {});
        request.write(formHead());
        return request;
      });
      await waitFor('three uploads', async () => /humancast_loader_uploads\S* 3\n/.test(await loader.metrics()));
      const fourth = await upload({ file: clip });
      expect(fourth).toMatchObject({ status: 503, body: { code: 'too_many_uploads' } });
      expect(Number(fourth.headers.get('retry-after'))).toBeGreaterThan(0);
      for (const request of open) request.destroy();
      await waitFor('room again', async () => /humancast_loader_uploads\S* 0\n/.test(await loader.metrics()));
      expect((await upload({ file: clip })).status).toBe(201);
    });
  });

  describe('segments', () => {
    it('can be listed and searched', async () => {
      await upload({ file: clip }, 'avatar=ann&name=Good%20Morning');
      const find = async (query: string) =>
        (await loader.request<{ segments: SegmentView[] }>('GET', `/v1/segments?${query}`)).body.segments.map(
          ({ name }) => name,
        );
      expect(await find('avatar=ann&q=good%20m')).toEqual(['Good Morning']);
      expect(await find('q=a.mp4')).toEqual(['a.mp4']);
      expect(await find('avatar=lib')).toEqual(['a.mp4']);
      expect(await loader.request('GET', '/v1/segments?avatar=nobody')).toMatchObject({
        status: 404,
        body: { code: 'avatar_not_found' },
      });
    });

    it('can be deleted unless they belong to the watched folder', async () => {
      const { body } = await upload({ file: clip });
      expect((await loader.request('DELETE', `/v1/segments/${body.id}`)).status).toBe(204);
      expect(await loader.request('DELETE', `/v1/segments/${body.id}`)).toMatchObject({
        status: 404,
        body: { code: 'segment_not_found' },
      });
      const library = (await loader.avatar('lib')).idlePlaylist[0];
      expect(await loader.request('DELETE', `/v1/segments/${library}`)).toMatchObject({
        status: 409,
        body: { code: 'managed_by_folder' },
      });
    });

    it('that do not exist answer 404, whatever their ID', async () => {
      for (const id of ['seg_aaaaaaaaaaaaaaaa', 'x', '..%2f..%2fetc', 'seg_%00', `seg_${'a'.repeat(5000)}`]) {
        expect(await loader.request('GET', `/v1/segments/${id}`)).toMatchObject({
          status: 404,
          body: { code: 'segment_not_found' },
        });
      }
    });
  });

  describe('avatars', () => {
    it('can be defined, redefined, read and deleted', async () => {
      const definition = {
        name: 'Bob',
        fps: { num: 25, den: 1 },
        renditions: [{ id: 'low', codec: 'h264', maxWidth: 320, maxHeight: 320, bitrateBps: 200_000 }],
      };
      expect(await loader.defineAvatar('bob', definition)).toMatchObject({
        status: 200,
        body: { id: 'bob', ...definition, idle: 0 },
      });
      const { body } = await upload({ file: clip }, 'avatar=bob');
      expect(body).toMatchObject({ frames: 25, fps: '25', renditions: [{ id: 'low', codec: 'h264' }] });
      const { body: list } = await loader.request<{ avatars: AvatarView[] }>('GET', '/v1/avatars');
      expect(list.avatars.find(({ id }) => id === 'bob')).toMatchObject({ name: 'Bob', segments: 1 });
      expect((await loader.request('DELETE', '/v1/avatars/bob')).status).toBe(204);
      expect(await loader.request('GET', '/v1/avatars/bob')).toMatchObject({
        status: 404,
        body: { code: 'avatar_not_found' },
      });
      expect(await loader.request('GET', `/v1/segments/${body.id}`)).toMatchObject({ status: 404 });
      expect(await loader.request('DELETE', '/v1/avatars/lib')).toMatchObject({
        status: 409,
        body: { code: 'managed_by_folder' },
      });
    });

    it('are listed and usable beside records of another version', async () => {
      await loader.redis.hset('hc:avatars', {
        later: '{"id":"later","cutPolicy":"now","newMember":1}',
        broken: '{"id":"broken","cutPolicy":"mid-sentence"}',
      });
      const { status, body } = await loader.request<{ avatars: AvatarView[] }>('GET', '/v1/avatars');
      expect(status).toBe(200);
      const ids = body.avatars.map(({ id }) => id);
      expect(ids).toContain('later');
      expect(ids).not.toContain('broken');
      expect(await loader.request('GET', '/v1/avatars/broken')).toMatchObject({
        status: 409,
        body: { code: 'record_unreadable' },
      });
      expect((await upload({ file: clip }, 'avatar=later')).status).toBe(201);
      await loader.redis.hdel('hc:avatars', 'broken', 'later');
    });

    it('are rejected unless their definition is valid', async () => {
      for (const wrong of [
        { colour: 'red' },
        { fps: 30 },
        { fps: { num: 1000, den: 1 } },
        { renditions: [] },
        [],
        'x',
      ]) {
        expect(await loader.defineAvatar('eve', wrong)).toMatchObject({ status: 400, body: { code: 'bad_request' } });
      }
      expect(await loader.defineAvatar('Not%20A%20Slug')).toMatchObject({ status: 400 });
      const headers = { 'content-type': 'application/json' };
      expect(await loader.request('PUT', '/v1/avatars/eve', { headers, body: '{"fps":' })).toMatchObject({
        status: 400,
      });
      expect(
        await loader.request('PUT', '/v1/avatars/eve', {
          headers,
          body: JSON.stringify({ name: 'x'.repeat(100_000) }),
        }),
      ).toMatchObject({ status: 413 });
    });
  });

  it('completes accepted uploads and rejects new ones during shutdown', async () => {
    const other = await TestLoader.start();
    try {
      await other.defineAvatar('ann');
      const post = (body: FormData) => other.request<SegmentView>('POST', '/v1/segments?avatar=ann', { body });
      const film = await clips.test('film.mp4', {
        seconds: 10,
        size: '320x240',
        output: ['-c:v', 'libx264', '-preset', 'ultrafast'],
      });
      const answer = post(await form({ file: film }));
      await waitFor('the load to begin', async () =>
        /humancast_loader_running_loads\S* 1\n/.test(await other.metrics()),
      );
      const stopped = other.stopService();
      expect(await post(await form({ file: clip })).catch(() => ({ status: 503 }))).toMatchObject({ status: 503 });
      expect(await answer).toMatchObject({ status: 201, body: { frames: 300 } });
      await stopped;
    } finally {
      await other.stop();
    }
  });

  it('answers an unknown path with a problem document', async () => {
    expect(await loader.request('GET', '/v1/nothing')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  it('survives bytes that are not HTTP', async () => {
    const socket = connect(Number(new URL(loader.url).port), '127.0.0.1');
    await new Promise<void>((resolve) => {
      socket.on('close', () => resolve()).on('error', () => {});
      socket.resume();
      socket.end('\x16\x03\x01 nonsense\r\n\r\n');
    });
    expect((await loader.request('GET', '/healthz')).status).toBe(200);
  });

  it('counts uploads, failures and loads in its metrics', async () => {
    const metrics = await loader.metrics();
    for (const name of [
      'load_seconds_count',
      'media_seconds_total',
      'failures_total',
      'written_bytes_total',
      'waiting_uploads',
    ]) {
      expect(metrics).toMatch(new RegExp(`^humancast_loader_${name}\\{`, 'm'));
    }
    expect(metrics).toMatch(/humancast_loader_failures_total\{.*code="media_truncated".*\} [1-9]/);
  });

  async function stateOf(id: string, isSo: (segment: SegmentView) => boolean): Promise<SegmentView> {
    return waitFor('the state of an upload', async () => {
      const { body } = await loader.request<SegmentView>('GET', `/v1/segments/${id}`);
      return isSo(body) && body;
    });
  }

  function startUpload(headers: Record<string, string>): ClientRequest {
    return httpRequest(`${loader.url}/v1/segments?avatar=ann`, {
      method: 'POST',
      headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'multipart/form-data; boundary=b', ...headers },
    });
  }

  interface RawUpload {
    /** Value of `Content-Length`; default: chunked. */
    statedBytes?: number;
    /** Bytes sent first. */
    content?: Buffer;
    /** Number of zero bytes sent after them. */
    sendBytes?: number;
    expect?: boolean;
  }

  /** Sends an upload of any size byte by byte without holding it in memory. */
  async function rawUpload({ statedBytes, content = Buffer.alloc(0), sendBytes = 0, ...options }: RawUpload) {
    const length =
      statedBytes === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': String(statedBytes) };
    const request = startUpload({ ...length, ...(options.expect ? { expect: '100-continue' } : {}) });
    let continued = false;
    let sentBytes = 0;
    const answered = new Promise<{ status: number; body: unknown }>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', (response) => {
        response
          .setEncoding('utf8')
          .toArray()
          .then((parts) => resolve({ status: response.statusCode ?? 0, body: JSON.parse(parts.join('')) }), reject);
      });
    });
    let isAnswered = false;
    const done = answered.finally(() => {
      isAnswered = true;
    });
    const send = async () => {
      if (options.expect) {
        request.flushHeaders();
        await Promise.race([
          new Promise<void>((resolve) =>
            request.once('continue', () => {
              continued = true;
              resolve();
            }),
          ),
          done,
        ]);
        if (!continued) return;
      }
      request.write(formHead());
      request.write(content);
      const zeros = Buffer.alloc(65_536);
      for (; sentBytes < sendBytes && !isAnswered; sentBytes += zeros.length) {
        const room = request.write(zeros.subarray(0, Math.min(zeros.length, sendBytes - sentBytes)));
        if (!room) await Promise.race([new Promise((resolve) => request.once('drain', resolve)), done]);
      }
      if (statedBytes === undefined) request.end('\r\n--b--\r\n');
    };
    const [answer] = await Promise.all([done, send()]);
    request.destroy();
    return { ...answer, continued, sentBytes };
  }
});

function formHead(): string {
  return '--b\r\ncontent-disposition: form-data; name="file"; filename="film.mp4"\r\n\r\n';
}

/** @returns The peak increase of memory use, sampled on each turn of the event loop, bytes. */
function watchMemory(): { growthBytes(): number } {
  const used = () => {
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    return heapUsed + arrayBuffers;
  };
  const before = used();
  let peak = before;
  const timer = setInterval(() => {
    peak = Math.max(peak, used());
  }, 5);
  return {
    growthBytes() {
      clearInterval(timer);
      return peak - before;
    },
  };
}
