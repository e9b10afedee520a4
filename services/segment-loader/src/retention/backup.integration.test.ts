import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { freePort, spawnTied, startRedis, waitFor } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterEach, expect, it } from 'vitest';
import { Clips } from '../../testing/clips.js';
import { TestLoader } from '../../testing/start-test-loader.js';

const run = promisify(execFile);
const PAGE = new URL('../../../../docs/backup.md', import.meta.url);
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Runs the commands that docs/backup.md gives under a title, unchanged. */
async function runCommandsOf(title: string, env: Record<string, string>): Promise<void> {
  const page = await readFile(PAGE, 'utf8');
  const commands = new RegExp(`\`{3}sh\\n# ${title}\\n(.*?)\`{3}`, 's').exec(page)?.[1];
  if (!commands) throw new Error(`docs/backup.md has no commands "# ${title}"`);
  await run('/bin/sh', ['-euc', commands], { env: { PATH: process.env['PATH'], ...env }, timeout: 30_000 });
}

async function upload(loader: TestLoader, clip: string, query = ''): Promise<string> {
  return (await loader.upload('ann', clip, query)).body.id;
}

async function startQueueRedis(dir: string): Promise<string> {
  const port = await freePort();
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'yes'];
  const child = spawnTied('redis-server', args, { stdio: 'ignore' });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  cleanups.push(async () => {
    child.kill('SIGKILL');
    await gone;
  });
  const redis = new Redis(port, '127.0.0.1', { retryStrategy: () => 50 });
  redis.on('error', () => {});
  while ((await redis.ping().catch(() => '')) !== 'PONG') await sleep(20);
  redis.disconnect();
  return `redis://127.0.0.1:${port}`;
}

it('a backup restores avatars, settings and segments to an empty machine, without what was deleted before', async () => {
  const clips = new Clips();
  cleanups.push(() => clips.remove());
  const clip = await clips.test('clip.mp4', { seconds: 1, size: '64x64' });
  const folder = mkdtempSync(join(tmpdir(), 'humancast-backup-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const [backup, queueDir, archive] = ['backup', 'redis-queue', 'archive'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  await Promise.all([backup, queueDir].map((path) => mkdir(path)));

  const queue = await startRedis({ appendOnly: true });
  cleanups.push(() => queue.stop());
  const before = await TestLoader.start({ REDIS_QUEUE_URL: queue.url });
  cleanups.push(() => before.stop());
  const definition = { name: 'Ann', fps: { num: 25, den: 1 }, cutPolicy: 'clip-end' };
  await before.defineAvatar('ann', definition);
  await before.defineAvatar('ben');
  const [deleted, pinned, plain] = [
    await upload(before, clip),
    await upload(before, clip, '&pinned=true'),
    await upload(before, clip),
  ];
  await before.request('DELETE', `/v1/segments/${deleted}`);
  await before.request('DELETE', '/v1/avatars/ben');
  const media = await before.store.readGop(plain as string, 'vp8', 0);

  const backedUp = { REDIS_QUEUE_URL: queue.url, ARCHIVE_DIR: before.archiveDir, BACKUP: backup };
  await runCommandsOf('back up', backedUp);
  // Both databases and the archive are lost.
  await before.stop();
  await queue.stop();

  const port = String(await freePort());
  await runCommandsOf('restore', { BACKUP: backup, REDIS_QUEUE_DIR: queueDir, ARCHIVE_DIR: archive, PORT: port });
  const after = await TestLoader.start({ REDIS_QUEUE_URL: await startQueueRedis(queueDir), ARCHIVE_DIR: archive });
  cleanups.push(() => after.stop());
  for (const id of [pinned, plain]) await waitFor(`${id} to be restored`, () => after.store.hasAllParts(id as string));
  expect((await after.request('GET', '/v1/avatars')).body).toMatchObject({
    avatars: [{ id: 'ann', ...definition, segments: 2 }],
  });
  expect((await after.request('GET', `/v1/segments/${pinned}`)).body).toMatchObject({ pinned: true });
  expect((await after.request('GET', `/v1/segments/${deleted}`)).status).toBe(404);
  expect(await after.store.readGop(plain as string, 'vp8', 0)).toEqual(media);
}, 90_000);
