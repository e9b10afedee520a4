import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { spawnTied } from '@humancast/testkit';

const SCRIPT = 'mount -t tmpfs -o size="$2"m tmpfs "$1" && echo mounted && exec sleep infinity';
const BLOCK = Buffer.alloc(1 << 20, 1);
const SMALL_BLOCK = Buffer.alloc(512, 1);

/**
 * A small disk that can be filled: a tmpfs in a mount namespace held by a process, with which it disappears. Needs root, or
 * user namespaces.
 */
export class SmallDisk {
  /** Runs a command in the disk's mount namespace. */
  readonly prefix: readonly string[];
  readonly #holder: ChildProcess;
  readonly #fill: string;

  /** @param path an empty folder. @throws Error if this machine does not allow it. */
  static async mount(path: string, megabytes: number): Promise<SmallDisk> {
    const asRoot = process.getuid?.() === 0;
    const unshare = ['--mount', '--propagation', 'private', ...(asRoot ? [] : ['--map-root-user'])];
    const args = [...unshare, 'sh', '-c', SCRIPT, 'sh', path, String(megabytes)];
    const holder = spawnTied('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    holder.stderr?.on('data', (text) => {
      output += String(text);
    });
    const mounted = holder.stdout ? once(holder.stdout, 'data').then(() => true) : Promise.resolve(false);
    const failed = once(holder, 'exit').then(() => false);
    if (!(await Promise.race([mounted, failed]))) throw new Error(`cannot mount a disk: ${output.trim()}`);
    return new SmallDisk(holder, path, asRoot);
  }

  private constructor(holder: ChildProcess, path: string, asRoot: boolean) {
    this.#holder = holder;
    this.#fill = join(`/proc/${holder.pid}/root`, path, 'fill');
    const namespaces = asRoot ? ['--mount'] : ['--user', '--preserve-credentials', '--mount'];
    this.prefix = ['nsenter', '--target', String(holder.pid), ...namespaces];
  }

  /** Fills the disk completely. */
  fill(): void {
    const file = openSync(this.#fill, 'a');
    try {
      for (const block of [BLOCK, SMALL_BLOCK]) writeUntilFull(file, block);
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(this.#fill, { force: true });
  }

  /** The disk lasts until its last process ends. */
  async close(): Promise<void> {
    if (this.#holder.exitCode !== null || this.#holder.signalCode !== null) return;
    const gone = once(this.#holder, 'exit');
    this.#holder.kill('SIGKILL');
    await gone;
  }
}

function writeUntilFull(file: number, block: Buffer): void {
  try {
    while (writeSync(file, block) === block.length);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  }
}
