import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';

/** Part of util-linux, which every Debian has. */
const canTie = spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;

/**
 * `spawn` of what must not outlive us: when we are killed with no chance to clean up, the kernel kills it, too (prctl(2),
 * PR_SET_PDEATHSIG). Elsewhere than on Linux it is `spawn`. A program that can't be found exits with 127.
 *
 * @param prefix a command that executes its arguments in its own place, such as `nsenter` (default: none).
 */
export function spawnTied(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  prefix: readonly string[] = [],
): ChildProcess {
  // Entering a user namespace clears the signal, so it is set after the prefix.
  const tie = canTie ? ['setpriv', '--pdeathsig', 'KILL'] : [];
  const [program = command, ...rest] = [...prefix, ...tie, command, ...args];
  return spawn(program, rest, options);
}
