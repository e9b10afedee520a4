import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { freePort } from '@humancast/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimFolder } from './lock.mjs';
import { portProblems } from './ports.mjs';
import { eachLine, ProcessLog, readable } from './process-log.mjs';
import { ensureSecrets, readSecret } from './secrets.mjs';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'humancast-start-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('ensureSecrets()', () => {
  it('creates secrets that only their owner can read, and keeps existing ones', () => {
    const path = join(folder, 'state');
    const first = ensureSecrets(path);
    expect(first.made).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    const values = Object.values(first.files).map(readSecret);
    expect(new Set(values).size).toBe(5);
    for (const [i, file] of Object.values(first.files).entries()) {
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(values[i]?.length).toBeGreaterThanOrEqual(32);
    }
    const second = ensureSecrets(path);
    expect(second.made).toBe(false);
    expect(Object.values(second.files).map(readSecret)).toEqual(values);
  });
});

describe('claimFolder()', () => {
  it('succeeds if the last holder has ended, or another program has its process id', () => {
    writeFileSync(join(folder, 'running.pid'), '4194304\n');
    expect(claimFolder(folder)).toBeUndefined();
    writeFileSync(join(folder, 'running.pid'), '1\n');
    expect(claimFolder(folder)).toBeUndefined();
  });

  it('returns the process that holds the folder', async () => {
    const script = join(folder, 'start.mjs');
    writeFileSync(script, "console.log('here'); setInterval(() => {}, 1000);");
    const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'ignore'] });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    writeFileSync(join(folder, 'running.pid'), `${child.pid}\n`);
    const owner = claimFolder(folder);
    child.kill('SIGKILL');
    expect(owner).toBe(child.pid);
  });
});

describe('portProblems()', () => {
  const use = (port: number, what = 'signaling') => ({
    variable: 'SIGNALING_PORT',
    port,
    address: '127.0.0.1',
    protocol: 'tcp' as const,
    what,
  });

  it('names a port in use, and the variable to change', async () => {
    const server: Server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    const [problem] = await portProblems([use(port)]);
    server.close();
    expect(problem).toContain(`port ${port}/tcp`);
    expect(problem).toContain('SIGNALING_PORT');
  });

  it('returns nothing for free ports', async () => {
    expect(await portProblems([use(await freePort())])).toEqual([]);
  });

  it('rejects port 0 and others outside 1 to 65535', async () => {
    expect(await portProblems([use(0)])).toEqual([expect.stringContaining('SIGNALING_PORT')]);
    expect(await portProblems([use(65_536)])).toEqual([expect.stringContaining('SIGNALING_PORT')]);
  });

  it('names a port that is configured twice', async () => {
    const port = await freePort();
    const [problem] = await portProblems([use(port), use(port, 'segment-loader')]);
    expect(problem).toContain('signaling and for segment-loader');
  });
});

describe('ProcessLog', () => {
  it('rotates the file at each start', () => {
    const path = join(folder, 'logs', 'a.log');
    new ProcessLog(path).write('before');
    const log = new ProcessLog(path);
    log.write('now');
    expect(readFileSync(path, 'utf8')).toBe('now\n');
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('before\n');
    expect(log.tail).toEqual(['now']);
  });

  it('keeps at most two files of bounded size', () => {
    const path = join(folder, 'a.log');
    const log = new ProcessLog(path);
    const line = 'x'.repeat(1_000_000);
    for (let i = 0; i < 45; i++) log.write(line);
    expect(statSync(path).size + statSync(`${path}.1`).size).toBeLessThan(45_000_000);
    expect(existsSync(`${path}.2`)).toBe(false);
  });
});

describe('eachLine()', () => {
  it('joins chunks, also within a multi-byte character', async () => {
    const stream = new PassThrough();
    const lines: string[] = [];
    eachLine(stream, (line) => lines.push(line));
    const bytes = Buffer.from('eins\nzwölf\ndrei');
    for (const byte of bytes) stream.write(Buffer.from([byte]));
    stream.end();
    await new Promise((resolve) => stream.once('close', resolve));
    expect(lines).toEqual(['eins', 'zwölf', 'drei']);
  });
});

describe('readable()', () => {
  it('formats a service’s log line', () => {
    const line = JSON.stringify({ level: 'warn', msg: 'load failed', err: { message: 'no picture' }, file: 'a b.mp4' });
    expect(readable(line)).toEqual({ level: 'warn', text: 'load failed (no picture) file=a b.mp4' });
  });

  it('returns other lines unchanged', () => {
    expect(readable('{not json')).toEqual({ level: 'plain', text: '{not json' });
  });
});
