import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';

/** Part of util-linux, which every Debian has. */
const canTie = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;

/**
 * `spawn` of what must not outlive us: when we are killed with no chance to clean up, the kernel kills it, too (prctl(2),
 * PR_SET_PDEATHSIG). Elsewhere than on Linux it is `spawn`. A program that can't be found exits with 127.
 */
export function spawnTied(command: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  return canTie
    ? spawn('setpriv', ['--pdeathsig', 'KILL', command, ...args], options)
    : spawn(command, [...args], options);
}
