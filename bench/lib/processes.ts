import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** Linux's USER_HZ, the unit of /proc/PID/stat: 100 on every architecture that Node runs on. */
const TICKS_PER_SECOND = 100;
/** utime and stime (proc(5)), counted from behind the name, which may contain spaces. */
const [UTIME, STIME] = [11, 12];

/** @returns the CPU time a process has used, with all its threads, s. Linux only; resolution 10 ms. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[UTIME]) + Number(fields[STIME])) / TICKS_PER_SECOND;
}

/**
 * @returns the time for which a process's main thread was ready to run without a core, s. Linux with schedstats only; `NaN`
 * elsewhere.
 */
export function waitedSeconds(pid: number): number {
  try {
    const [, waitedNs] = readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ');
    return Number(waitedNs) / 1e9;
  } catch {
    return Number.NaN;
  }
}

/**
 * Pins a process, with all its threads and future children, to these cores.
 * @returns whether that was possible.
 */
export function pin(pid: number, cores: readonly number[]): boolean {
  try {
    execFileSync('taskset', ['-a', '-c', '-p', cores.join(','), String(pid)], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

export function allCores(): number[] {
  return Array.from({ length: availableParallelism() }, (_, core) => core);
}
