import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg, totalmem } from 'node:os';

/** The machine and versions that figures belong to. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly os: string;
  /** Load average of the last minute before the start; a busy machine distorts timing. */
  readonly loadBefore: number;
  readonly versions: Readonly<Record<string, string>>;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    os: osName(),
    loadBefore: loadavg()[0] ?? 0,
    versions: {
      node: process.version.slice(1),
      chromium: version(process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium', ['--version']),
      ffmpeg: version('ffmpeg', ['-version']),
      coturn: version('turnserver', ['--version']),
      redis: version('redis-server', ['--version']),
    },
  };
}

export function machineLines({ cpu, cores, memoryGb, os, loadBefore, versions }: Machine): string[] {
  const tools = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const load = `load ${loadBefore.toFixed(1)} before`;
  return [`${cpu}, ${cores} cores, ${memoryGb} GB, ${os}, ${load}`, tools.join(', ')];
}

function osName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? process.platform;
  } catch {
    return process.platform;
  }
}

function version(command: string, args: readonly string[]): string {
  try {
    const text = execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    return /\d+\.\d+(\.\d+)*/.exec(text)?.[0] ?? 'unknown';
  } catch {
    return 'missing';
  }
}
