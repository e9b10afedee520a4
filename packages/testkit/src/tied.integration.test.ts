import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { expect, it, vi } from 'vitest';

const TIED = new URL('./tied.ts', import.meta.url).href;

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** @returns the command line. */
function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
}

/** Starts a process that starts a tied one. */
async function startParent(): Promise<{ parent: ChildProcess; childPid: number }> {
  const script = `
    import { spawnTied } from ${JSON.stringify(TIED)};
    console.log(spawnTied('sleep', ['600'], { stdio: 'ignore' }).pid);
    setInterval(() => {}, 1000);
  `;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(parent.stdout, 'data')) as [Buffer];
  return { parent, childPid: Number(line.toString()) };
}

it('spawnTied() starts a process that ends when its parent is killed', async () => {
  const { parent, childPid } = await startParent();
  // Nothing is tied before setpriv has executed the program.
  await vi.waitFor(() => expect(commandOf(childPid)).toBe('sleep 600'), { timeout: 10_000 });
  expect(isAlive(childPid)).toBe(true);
  parent.kill('SIGKILL');
  await vi.waitFor(() => expect(isAlive(childPid)).toBe(false), { timeout: 10_000 });
});
