import type { ChildProcess } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './ports.js';
import { spawnTied } from './tied.js';

export interface TestTurn {
  readonly port: number;
  /** `turn:` URL over UDP or TCP. */
  url(transport?: 'udp' | 'tcp'): string;
  /** The secret its ephemeral credentials are signed with. */
  readonly secret: string;
  /** For `RTCConfiguration.iceServers`, valid for an hour. */
  iceServer(transport?: 'udp' | 'tcp'): { urls: string[]; username: string; credential: string };
  /** Kills and starts it again on the same port; what it relayed is gone. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** A coturn of its own, all on loopback: it listens, relays and reaches peers on 127.0.0.1 only. */
export async function startTurn(): Promise<TestTurn> {
  const port = await freePort();
  const secret = randomBytes(16).toString('hex');
  const dir = mkdtempSync(join(tmpdir(), 'humancast-turn-'));
  const args = [
    '-n',
    '--no-cli',
    '--no-tls',
    '--no-dtls',
    '--listening-ip=127.0.0.1',
    `--listening-port=${port}`,
    '--relay-ip=127.0.0.1',
    '--allow-loopback-peers',
    '--allowed-peer-ip=127.0.0.1',
    '--denied-peer-ip=0.0.0.0-255.255.255.255',
    '--use-auth-secret',
    `--static-auth-secret=${secret}`,
    '--realm=humancast.test',
    '--fingerprint',
    `--userdb=${join(dir, 'turn.db')}`,
    `--pidfile=${join(dir, 'turn.pid')}`,
    '--log-file=stdout',
  ];
  const launch = () => spawnTied('turnserver', args, { stdio: 'ignore', cwd: dir });
  let child = launch();
  const stop = async () => {
    await ended(child);
    rmSync(dir, { recursive: true, force: true });
  };
  await listening(port, child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const url = (transport: 'udp' | 'tcp' = 'udp') => `turn:127.0.0.1:${port}?transport=${transport}`;
  return {
    port,
    secret,
    url,
    iceServer: (transport) => ({ urls: [url(transport)], ...credentials(secret) }),
    async restart() {
      await ended(child);
      child = launch();
      await listening(port, child);
    },
    stop,
  };
}

/** Ephemeral credentials: the expiry as the name, its HMAC as the password. */
function credentials(secret: string): { username: string; credential: string } {
  const username = `${Math.floor(Date.now() / 1000) + 3600}:test`;
  return { username, credential: createHmac('sha1', secret).update(username).digest('base64') };
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  for (let attempt = 0; attempt < 200; attempt++) {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`turnserver exited with ${child.exitCode}`);
    if (await accepts(port)) return;
    await sleep(25);
  }
  throw new Error('turnserver does not listen');
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await gone;
}
