import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** redis-queue with the configuration and users of an installation. */
describe('redis-queue', () => {
  const folder = mkdtempSync(join(tmpdir(), 'humancast-users-'));
  const secrets = join(folder, 'secrets');
  let port: number;
  let server: ChildProcess;
  beforeAll(async () => {
    execFileSync(here('../kubernetes/secrets'), [secrets], { stdio: 'pipe' });
    mkdirSync(join(folder, 'data'));
    port = await freePort();
    await start();
  });
  afterAll(async () => {
    await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(): Promise<void> {
    const files = [here('queue.conf'), '--aclfile', join(secrets, 'redis-queue.acl')];
    const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', join(folder, 'data')];
    server = spawn('redis-server', [...files, ...place], { stdio: 'ignore' });
    await vi.waitFor(() => expect(probe('readinessProbe')).toBe('PONG'), { timeout: 10_000 });
  }

  async function stop(): Promise<void> {
    server.kill('SIGTERM');
    await once(server, 'exit');
  }

  function connect(url: string): Redis {
    return new Redis(url, { maxRetriesPerRequest: 0, enableReadyCheck: false, lazyConnect: true });
  }

  function asSignaling(): Redis {
    const url = readFileSync(join(secrets, 'redis-queue.signaling.url'), 'utf8').trim();
    return connect(url.replace(/@.*/, `@127.0.0.1:${port}`));
  }

  function redisCli(command: readonly string[]): string {
    const [program = '', ...args] = command;
    return execFileSync(program, ['-p', String(port), ...args], { encoding: 'utf8', stdio: 'pipe' }).trim();
  }

  function probe(name: string): string {
    const manifest = parse(readFileSync(here('../kubernetes/base/redis-queue.yaml'), 'utf8').split('\n---')[0] ?? '');
    try {
      return redisCli(manifest.spec.template.spec.containers[0][name].exec.command);
    } catch (error) {
      return String(error);
    }
  }

  it('data written by transactions and scripts survives a restart', async () => {
    const before = asSignaling();
    await before.set('hc:{s:a}:single', '1');
    await before.multi().set('hc:{s:a}:first', '1').set('hc:{s:a}:second', '1').exec();
    const script = "redis.call('SET', KEYS[1], 1); redis.call('SET', KEYS[2], 1)";
    await before.eval(script, 2, 'hc:{s:a}:third', 'hc:{s:a}:fourth');
    before.disconnect();
    await stop();
    await start();
    const after = asSignaling();
    const names = ['single', 'first', 'second', 'third', 'fourth'].map((name) => `hc:{s:a}:${name}`);
    expect(await after.mget(names)).toEqual(names.map(() => '1'));
    after.disconnect();
  });

  it('the default user cannot log in, and the maintenance user may only ping and reload the users', async () => {
    for (const url of [`redis://127.0.0.1:${port}`, `redis://default:x@127.0.0.1:${port}`]) {
      const stranger = connect(url);
      stranger.on('error', () => {});
      await expect(stranger.get('hc:sessions')).rejects.toThrow();
      stranger.disconnect();
    }
    const maintenance = connect(`redis://maintenance:none@127.0.0.1:${port}`);
    for (const [command = '', ...args] of [['GET', 'hc:sessions'], ['KEYS', '*'], ['ACL', 'LIST'], ['FLUSHALL']]) {
      await expect(maintenance.call(command, ...args), command).rejects.toThrow('NOPERM');
    }
    expect(await maintenance.call('ACL', 'LOAD')).toBe('OK');
    maintenance.disconnect();
  });

  it('passes every probe of Kubernetes and of docker compose', () => {
    for (const name of ['startupProbe', 'livenessProbe', 'readinessProbe'])
      expect([name, probe(name)]).toEqual([name, 'PONG']);
    const compose = parse(readFileSync(here('../../docker-compose.yml'), 'utf8'), { merge: true });
    expect(redisCli(compose.services['redis-queue'].healthcheck.test.slice(1))).toBe('PONG');
  });
});
