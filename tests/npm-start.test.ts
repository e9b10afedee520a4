import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, launchFirefox, makeTestClip, PAGE_STATE, PAGE_VIDEO, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readStartConfig } from '../scripts/lib/start-config.mjs';

const START = fileURLToPath(new URL('../scripts/start.mjs', import.meta.url));
const PORTS = [
  'SIGNALING_PORT',
  'LOADER_PORT',
  'SIGNALING_METRICS_PORT',
  'LOADER_METRICS_PORT',
  'SENDER_METRICS_PORT',
  'SAY_PORT',
  'SAY_METRICS_PORT',
  'TURN_PORT',
  'REDIS_QUEUE_PORT',
  'REDIS_MEDIA_PORT',
];

/** Whether the page's video presents a frame within two seconds. Firefox's playback quality counts none for streams. */
const FRAME = `new Promise((resolve) => {
  (${PAGE_VIDEO})?.requestVideoFrameCallback(() => resolve(true));
  setTimeout(() => resolve(false), 2000);
})`;

interface Started {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  output(): string;
}

function start(env: Record<string, string>): Started {
  const child = spawn(process.execPath, [START], {
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  const exit = new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
  });
  return { child, exit, output: () => output };
}

/** @returns the command lines of a process's children, by process id. */
function childrenOf(pid: number): Map<number, string> {
  const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').map(Number);
  return new Map(ids.map((id) => [id, readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ')]));
}

describe('settings of npm start', () => {
  const read = (given: Record<string, string>) => readStartConfig(given, { senders: 1, demoProducer: true });

  it('the default serves a demo to this machine only', async () => {
    const { demo, signaling, loader } = await read({});
    expect(demo).toEqual({ mode: 'local' });
    expect([signaling.bindAddress, loader.bindAddress]).toEqual(['127.0.0.1', '127.0.0.1']);
  });

  it('opening the page to other machines disables the demo, and keeps the segment-loader private', async () => {
    const { demo, signaling, loader } = await read({ BIND_ADDRESS: '0.0.0.0' });
    expect(demo).toMatchObject({ mode: 'off', why: expect.stringContaining('PUBLIC_DEMO_PUBLISHED=true') });
    expect([signaling.bindAddress, loader.bindAddress]).toEqual(['0.0.0.0', '127.0.0.1']);
    const open = await read({ BIND_ADDRESS: '0.0.0.0', LOADER_BIND_ADDRESS: '0.0.0.0', PUBLIC_DEMO_PUBLISHED: 'true' });
    expect([open.demo.mode, open.loader.bindAddress]).toEqual(['published', '0.0.0.0']);
  });
});

describe('npm start', () => {
  let folder: string;
  let env: Record<string, string>;
  let started: Started;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-npm-start-'));
    env = { HUMANCAST_DIR: join(folder, 'state'), MEDIA_DIR: folder };
    for (const variable of PORTS) env[variable] = String(await freePort());
    started = start(env);
    await waitFor(
      'the stack is ready',
      async () => started.output(),
      (output) => output.includes('Ctrl-C stops everything') || started.child.exitCode !== null,
    );
  });
  afterAll(async () => {
    started.child.kill('SIGKILL');
    await started.exit;
    rmSync(folder, { recursive: true, force: true });
  });

  it("prints the page's URL, and serves the page there", async () => {
    const url = `http://127.0.0.1:${env['SIGNALING_PORT']}/?avatar=demo`;
    expect(started.output()).toContain(url);
    expect(started.output()).toMatch(/packet path .*native/);
    const page = await fetch(url);
    expect(page.status).toBe(200);
    expect(page.headers.get('content-type')).toContain('text/html');
  });

  it('plays in Firefox, which rejects a TURN server on loopback', async () => {
    const clip = join(folder, 'lights/idle/red.mp4');
    makeTestClip(clip, { color: 'red', seconds: 2 });
    const firefox = await launchFirefox();
    try {
      const page = await firefox.newPage();
      await page.goto(`http://127.0.0.1:${env['SIGNALING_PORT']}/?avatar=lights`);
      await waitFor(
        'frames are presented',
        async () => [await page.evaluate(PAGE_STATE), await page.evaluate(FRAME)],
        ([state, frame]) => state === 'playing' && frame === true,
        60_000,
      );
    } finally {
      await firefox.close();
    }
  });

  it('accepts only the API key that it created', async () => {
    const key = readFileSync(join(folder, 'state/api-key'), 'utf8').trim();
    const ask = (authorization: string) =>
      fetch(`http://127.0.0.1:${env['SIGNALING_PORT']}/v1/sessions`, { headers: { authorization } });
    expect((await ask(`Bearer ${key}`)).status).toBe(200);
    expect((await ask('Bearer another')).status).toBe(401);
  });

  it('exposes its secrets neither in the process list nor in files readable by others', () => {
    const state = join(folder, 'state');
    expect(statSync(state).mode & 0o077).toBe(0);
    const secrets = ['api-key', 'say-key', 'token-secret', 'turn-secret'].map((name) => {
      expect(statSync(join(state, name)).mode & 0o077).toBe(0);
      return readFileSync(join(state, name), 'utf8').trim();
    });
    const commands = [...childrenOf(started.child.pid ?? 0).values()].join('\n');
    expect(commands).toContain('turnserver');
    for (const secret of secrets) expect(`${commands}\n${started.output()}`).not.toContain(secret);
  });

  it('rejects a second start in the same folder', async () => {
    const second = start(env);
    expect(await second.exit).toBe(1);
    expect(second.output()).toContain(`process ${started.child.pid} already uses`);
  });

  it('rejects a port in use before starting anything, and names the setting', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port));
    });
    const ports: Record<string, string> = {};
    for (const variable of PORTS) ports[variable] = String(await freePort());
    const second = start({ ...env, ...ports, HUMANCAST_DIR: join(folder, 'second'), LOADER_PORT: String(port) });
    expect(await second.exit).toBe(1);
    server.close();
    expect(second.output()).toMatch(new RegExp(`port ${port}/tcp .* LOADER_PORT`));
    expect(second.output()).not.toContain('are ready');
  });

  it('rejects an invalid setting with its name', async () => {
    const second = start({ ...env, HUMANCAST_DIR: join(folder, 'third'), MAX_SESSIONS: 'many' });
    expect(await second.exit).toBe(1);
    expect(second.output()).toContain('MAX_SESSIONS: "many" must be a whole number from 1 to 1000');
  });

  it('restarts a service that died, and reports it', async () => {
    const sender = [...childrenOf(started.child.pid ?? 0)].find(([, command]) => command.includes('media-sender'));
    process.kill(sender?.[0] ?? -1, 'SIGKILL');
    await waitFor(
      'the log line',
      async () => started.output(),
      (output) => output.includes('media-sender ended (got SIGKILL)'),
    );
    await waitFor(
      'it serves again',
      () =>
        fetch(`http://127.0.0.1:${env['SENDER_METRICS_PORT']}/readyz`).then(
          (r) => r.status,
          () => 0,
        ),
      (status) => status === 200,
    );
  });

  it('ends everything on SIGTERM, and leaves no process behind', async () => {
    const children = [...childrenOf(started.child.pid ?? 0).keys()];
    expect(children).toHaveLength(7);
    started.child.kill('SIGTERM');
    expect(await started.exit).toBe(0);
    expect(started.output()).toMatch(/stopped\n$/);
    expect(children.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);
  });
});
