import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const START_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 30_000;
const PACKAGES = ['docker.io', 'docker-compose', 'debootstrap', 'iptables'];
const PROGRAMS = ['dockerd', 'docker-compose', 'debootstrap', 'iptables'];

export interface Engine {
  /** Environment for `docker` commands. */
  readonly env: NodeJS.ProcessEnv;
  /** Whether the engine was started here and is empty, so that its images may be stand-ins. */
  readonly own: boolean;
  stop(): Promise<void>;
}

/**
 * Uses the running Docker engine, or starts one in a folder that is removed with it.
 * @throws Error if there is none and none can be started; these tests must not be skipped silently.
 */
export async function startEngine(): Promise<Engine> {
  if (answers(process.env)) return { env: process.env, own: false, stop: async () => {} };
  if (process.getuid?.() !== 0) {
    throw new Error('no Docker engine can be reached (DOCKER_HOST), and only root can start one');
  }
  installMissing();
  const folder = mkdtempSync(join(tmpdir(), 'humancast-docker-'));
  const env = { ...process.env, DOCKER_HOST: `unix://${join(folder, 'docker.sock')}` };
  const log = join(folder, 'dockerd.log');
  const args = ['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')];
  args.push('--pidfile', join(folder, 'pid'), '--host', env.DOCKER_HOST);
  const out = openSync(log, 'w');
  const child = spawn('dockerd', args, { stdio: ['ignore', out, out] });
  const stop = async () => {
    await ended(child);
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!answers(env)) {
    if (child.exitCode !== null || performance.now() > deadline) {
      const lastWords = readFileSync(log, 'utf8').trim().split('\n').slice(-10).join('\n');
      await stop();
      throw new Error(`no Docker engine can be reached, and dockerd does not start here:\n${lastWords}`);
    }
    await sleep(250);
  }
  return { env, own: true, stop };
}

function answers(env: NodeJS.ProcessEnv): boolean {
  try {
    execFileSync('docker', ['version'], { env, stdio: 'ignore', timeout: 10_000 });
    return true;
  } catch {
    return false;
  }
}

function installMissing(): void {
  if (PROGRAMS.every(isInstalled)) return;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' };
  execFileSync('apt-get', ['-qq', 'update'], { env, stdio: 'pipe' });
  execFileSync('apt-get', ['-qq', '-y', '--no-install-recommends', 'install', ...PACKAGES], { env, stdio: 'pipe' });
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const impatience = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
  await gone;
  clearTimeout(impatience);
}
