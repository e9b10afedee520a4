import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packGop } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';

/** IVF: a file header of 32 bytes, and one of 12 before each frame. */
const IVF_BYTES = 44;

describe('posters', () => {
  const folder = mkdtempSync(join(tmpdir(), 'humancast-poster-'));
  let stack: TestStack;
  let signaling: TestSignaling;
  let open: TestSignaling;
  let session: { id: string; token: string };
  beforeAll(async () => {
    const clip = join(folder, 'clip.ivf');
    execFileSync('ffmpeg', ['-f', 'lavfi', '-i', 'color=0x2060c0:s=62x34', '-frames:v', '1', '-c:v', 'libvpx', clip], {
      stdio: 'ignore',
    });
    const keyframe = readFileSync(clip).subarray(IVF_BYTES);
    stack = await TestStack.start();
    const idle = await stack.store.getIdlePlaylist('demo');
    const manifest = await stack.store.getManifest(idle[0] as string);
    for (const { id } of manifest?.renditions ?? [])
      await stack.store.writeGop(idle[0] as string, id, 0, packGop([{ data: keyframe, keyframe: true }]));
    [signaling, open] = await Promise.all([stack.signaling(), stack.signaling({ publicDemo: true })]);
    session = await signaling.makeSession();
  });
  afterAll(async () => {
    await stack.stop();
    rmSync(folder, { recursive: true });
  });

  const image = async (path: string, headers: Record<string, string> = {}) => {
    const response = await fetch(`${signaling.url}${path}`, { headers });
    return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
  };

  it('a session token in the URL gets the first idle frame as WebP, which may be cached', async () => {
    const { status, headers, body } = await image(`/v1/sessions/${session.id}/poster?token=${session.token}`);
    expect([status, headers.get('content-type')]).toEqual([200, 'image/webp']);
    expect(headers.get('cache-control')).toMatch(/^private, max-age=\d+/);
    expect(headers.get('cross-origin-resource-policy')).toBe('cross-origin');
    const rgb = execFileSync('ffmpeg', ['-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], {
      input: body,
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    expect(rgb).toHaveLength(62 * 34 * 3);
    [0x20, 0x60, 0xc0].forEach((value, i) => {
      expect(Math.abs((rgb[i] ?? 0) - value)).toBeLessThan(6);
    });
  });

  it('a caller that has the image gets 304', async () => {
    const path = `/v1/sessions/${session.id}/poster?token=${session.token}`;
    const etag = (await image(path)).headers.get('etag') as string;
    expect(await image(path, { 'if-none-match': etag })).toMatchObject({ status: 304, body: Buffer.alloc(0) });
  });

  it('only those who may watch get it', async () => {
    const other = await signaling.makeSession();
    const path = `/v1/sessions/${session.id}/poster`;
    expect((await image(path)).status).toBe(401);
    expect((await image(`${path}?token=${other.token}`)).status).toBe(403);
    expect((await signaling.request('GET', '/v1/avatars/demo/poster', { auth: '' })).status).toBe(401);
    expect((await open.request('GET', '/v1/avatars/demo/poster', { auth: '' })).status).toBe(200);
    expect((await signaling.request('GET', '/v1/avatars/demo/poster')).status).toBe(200);
    expect(await signaling.request('GET', '/v1/avatars/nobody/poster')).toMatchObject({
      status: 404,
      body: { code: 'avatar_not_found' },
    });
  });

  it('a transparent avatar has one without its matte', async () => {
    const clip = join(folder, 'stacked.ivf');
    const half = (color: string) => ['-f', 'lavfi', '-i', `color=${color}:s=62x34`];
    const stacking = ['-filter_complex', 'vstack', '-frames:v', '1', '-c:v', 'libvpx', clip];
    execFileSync('ffmpeg', [...half('0x2060c0'), ...half('white'), ...stacking], { stdio: 'ignore' });
    const size = { width: 62, height: 68, bitrateBps: 100_000, bytes: 1 };
    const rendition = { id: 'vp8', codec: 'vp8', alpha: 'stack', ...size } as const;
    await stack.avatars.ensure('hair');
    const idle = await stack.addSegment({ avatar: 'hair', role: 'idle', renditions: [rendition] });
    const data = readFileSync(clip).subarray(IVF_BYTES);
    await stack.store.writeGop(idle, 'vp8', 0, packGop([{ data, keyframe: true }]));
    await stack.store.setIdlePlaylist('hair', [idle]);
    const response = await fetch(`${open.url}/v1/avatars/hair/poster`);
    const rgb = execFileSync('ffmpeg', ['-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'rgb24', 'pipe:1'], {
      input: Buffer.from(await response.arrayBuffer()),
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    expect(rgb).toHaveLength(62 * 34 * 3);
    for (const line of [0, 33]) expect(Math.abs((rgb[line * 62 * 3 + 2] ?? 0) - 0xc0)).toBeLessThan(8);
    for (const line of [0, 33]) expect(rgb[line * 62 * 3] ?? 255).toBeLessThan(0x28);
  });

  it('an avatar without a VP8 rendition has none', async () => {
    await stack.avatars.ensure('h264-only');
    const rendition = { id: 'h264', codec: 'h264', width: 64, height: 64, bitrateBps: 100_000, bytes: 1 } as const;
    const idle = await stack.addSegment({ avatar: 'h264-only', role: 'idle', renditions: [rendition] });
    await stack.store.setIdlePlaylist('h264-only', [idle]);
    expect(await signaling.request('GET', '/v1/avatars/h264-only/poster')).toMatchObject({
      status: 404,
      body: { code: 'not_found' },
    });
    await stack.avatars.ensure('empty');
    expect(await signaling.request('GET', '/v1/avatars/empty/poster')).toMatchObject({
      status: 409,
      body: { code: 'avatar_has_no_idle' },
    });
  });
});
