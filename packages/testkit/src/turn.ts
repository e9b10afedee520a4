import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.js';
import { spawnTied } from './tied.js';
import { ephemeral } from './turn-client.js';

export type TurnTransport = 'udp' | 'tcp' | 'tls';

export interface TestTurn {
  readonly port: number;
  readonly pid: number;
  /** `turn:` URL over UDP or TCP, `turns:` over TLS. */
  url(transport?: TurnTransport): string;
  /** The secret that signs ephemeral credentials. */
  readonly secret: string;
  /** Entry for `RTCConfiguration.iceServers`, valid for an hour. */
  iceServer(transport?: TurnTransport): { urls: string[]; username: string; credential: string };
  /** Sends a signal to the server process, such as SIGSTOP. */
  signal(signal: NodeJS.Signals): void;
  /** Kills the server and starts it again on the same port; its allocations are lost. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const CONFIGURATION = join(dirname(fileURLToPath(import.meta.url)), '../../../infra/turn/turnserver.conf');

export interface TurnTestOptions {
  /** Address of this machine for listening and relays. Default: 127.0.0.1, which Firefox rejects. */
  readonly address?: string | undefined;
  /** Address of the peers. Default: the same. */
  readonly peerAddress?: string;
  /** Whether it also listens for TLS, with a self-signed certificate. Default: false. */
  readonly tls?: boolean | undefined;
  /** Default: a new one. */
  readonly secret?: string;
  /** Further lines of its configuration. */
  readonly settings?: readonly string[] | undefined;
}

/** Starts a coturn with the project's configuration. */
export async function startTurn(options: TurnTestOptions = {}): Promise<TestTurn> {
  const { address = '127.0.0.1', peerAddress = address, tls = false, settings = [] } = options;
  const [port, tlsPort] = [await freePort(), await freePort()];
  const { secret = randomBytes(16).toString('hex') } = options;
  const dir = mkdtempSync(join(tmpdir(), 'humancast-turn-'));
  const file = join(dir, 'turnserver.conf');
  // The settings that scripts/lib/stack.mjs adds for a single machine.
  const ours = [
    `listening-ip=${address}`,
    `listening-port=${port}`,
    `relay-ip=${address}`,
    ...(tls ? [`tls-listening-port=${tlsPort}`, ...selfSigned(dir, address)] : ['no-tls']),
    ...(address.startsWith('127.') ? ['allow-loopback-peers'] : []),
    `allowed-peer-ip=${peerAddress}`,
    `static-auth-secret=${secret}`,
    `userdb=${join(dir, 'turn.db')}`,
    `pidfile=${join(dir, 'turn.pid')}`,
    ...settings,
  ];
  writeFileSync(file, `${readFileSync(CONFIGURATION, 'utf8')}\n${ours.join('\n')}\n`, { mode: 0o600 });
  const launch = () => spawnTied('turnserver', ['-c', file], { stdio: 'ignore', cwd: dir });
  let child = launch();
  const stop = async () => {
    await ended(child);
    rmSync(dir, { recursive: true, force: true });
  };
  await listening(address, port, child).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  const url = (transport: TurnTransport = 'udp') =>
    transport === 'tls'
      ? `turns:${address}:${tlsPort}?transport=tcp`
      : `turn:${address}:${port}?transport=${transport}`;
  return {
    port,
    get pid() {
      return child.pid ?? -1;
    },
    secret,
    url,
    iceServer: (transport) => ({ urls: [url(transport)], ...credentials(secret) }),
    signal: (signal) => void child.kill(signal),
    async restart() {
      await ended(child);
      child = launch();
      await listening(address, port, child);
    },
    stop,
  };
}

/** Makes a certificate. @returns the settings that name it. */
function selfSigned(dir: string, address: string): string[] {
  const [key, certificate] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  const files = ['-nodes', '-keyout', key, '-out', certificate];
  execFileSync('openssl', ['req', '-x509', ...curve, ...files, '-subj', `/CN=${address}`], { stdio: 'ignore' });
  return [`cert=${certificate}`, `pkey=${key}`];
}

/** @returns credentials of a new user, so that tests do not share a quota. */
function credentials(secret: string): { username: string; credential: string } {
  const { username, password } = ephemeral(secret, 3600, randomBytes(6).toString('hex'));
  return { username, credential: password };
}

async function listening(address: string, port: number, child: ChildProcess): Promise<void> {
  let failure: Error | undefined;
  child.once('error', (error) => {
    failure = error;
  });
  for (let attempt = 0; attempt < 200; attempt++) {
    if (failure) throw failure;
    if (child.exitCode !== null) throw new Error(`turnserver exited with ${child.exitCode}`);
    if (await accepts(address, port)) return;
    await sleep(25);
  }
  throw new Error('turnserver does not listen');
}

function accepts(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, address);
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
