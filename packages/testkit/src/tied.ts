import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from 'node:child_process';

let canTie: boolean | undefined;

/**
 * Spawns a process that the kernel kills when this one dies, even without a chance to clean up (prctl(2), PR_SET_PDEATHSIG).
 * Where `setpriv` (util-linux) can't do that, it is `spawn`. A program that is not found exits with 127.
 *
 * @param prefix a command that executes its arguments, such as `nsenter` (default: none).
 */
export function spawnTied(
  command: string,
  args: readonly string[],
  options: SpawnOptions,
  prefix: readonly string[] = [],
): ChildProcess {
  canTie ??= spawnSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' }).status === 0;
  // Entering a user namespace clears the signal, so it is set after the prefix.
  const tie = canTie ? ['setpriv', '--pdeathsig', 'KILL'] : [];
  const [program = command, ...rest] = [...prefix, ...tie, command, ...args];
  return spawn(program, rest, options);
}
