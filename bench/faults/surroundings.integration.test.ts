import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startRedis } from '@humancast/testkit';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Clocks, EXPIRE_SOONER } from './clocks.ts';
import { SmallDisk } from './small-disk.ts';

const run = promisify(execFile);
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'humancast-surroundings-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe('SmallDisk', () => {
  it('rejects writes while full, keeps earlier data, and leaves nothing behind', async () => {
    const disk = await SmallDisk.mount(folder, 4);
    const within = (script: string) => run(disk.prefix[0] ?? '', [...disk.prefix.slice(1), 'sh', '-c', script]);
    try {
      await within(`printf before > ${folder}/file`);
      disk.fill();
      await expect(within(`head -c 100000 /dev/zero >> ${folder}/other`)).rejects.toThrow('No space left');
      expect((await within(`cat ${folder}/file`)).stdout).toBe('before');
      disk.empty();
      await within(`head -c 100000 /dev/zero > ${folder}/other`);
      // Only processes in its mount namespace see it.
      expect(existsSync(join(folder, 'file'))).toBe(false);
    } finally {
      await disk.close();
    }
    rmSync(folder, { recursive: true });
    expect(existsSync(folder)).toBe(false);
  });
});

describe('Clocks', () => {
  it("step a process's wall clock while it runs, and not its monotonic clock", async () => {
    const clocks = new Clocks(folder);
    const script = `
      const [wall, monotonic] = [Date.now(), performance.now()];
      setInterval(() => {
        const offset = Date.now() - wall - (performance.now() - monotonic);
        process.stdout.write(Math.round(offset / 1000) + ' ');
      }, 50);`;
    const env = { ...process.env, ...clocks.environment('a') };
    const child = spawn(process.execPath, ['-e', script], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    let offsets = '';
    child.stdout.on('data', (text) => {
      offsets += String(text);
    });
    try {
      await once(child.stdout, 'data');
      clocks.set('a', 90);
      await expect.poll(() => offsets, { timeout: 10_000 }).toMatch(/\b90 /);
      clocks.set('a', -5);
      await expect.poll(() => offsets, { timeout: 10_000 }).toMatch(/-5 /);
      expect(offsets.startsWith('0 ')).toBe(true);
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  });
});

describe('EXPIRE_SOONER', () => {
  it('shifts every time to live at once, and skips keys without one', async () => {
    const server = await startRedis();
    const redis = new Redis(server.url);
    try {
      await redis.set('long', '1', 'PX', 60_000);
      await redis.set('short', '1', 'PX', 1000);
      await redis.set('lasting', '1');
      expect(await redis.call('EVAL', EXPIRE_SOONER, '0', '5000')).toBe(2);
      expect(await redis.exists('short')).toBe(0);
      expect(await redis.pttl('long')).toBeLessThanOrEqual(55_000);
      expect(await redis.pttl('lasting')).toBe(-1);
      await redis.call('EVAL', EXPIRE_SOONER, '0', '-10000');
      expect(await redis.pttl('long')).toBeGreaterThan(60_000);
    } finally {
      redis.disconnect();
      await server.stop();
    }
  });
});
