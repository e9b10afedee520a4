import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const MODULE = new URL('../../../dist/transport/native/realtime-priority.js', import.meta.url).href;

/** Prints the refusal, and the policy of each thread (proc(5): fields 40 and 41 of /proc/self/task/TID/stat). */
const PROGRAM = `
import { readdirSync, readFileSync } from 'node:fs';
import { takeRealtimePriority } from '${MODULE}';
const refusal = takeRealtimePriority(Number(process.argv[1]));
// Threads that start afterwards.
await Promise.all([1, 2, 3, 4].map(() => crypto.subtle.digest('SHA-256', new Uint8Array(1024))));
const threads = readdirSync('/proc/self/task').map((id) => {
  const stat = readFileSync('/proc/self/task/' + id + '/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return { main: Number(id) === process.pid, priority: Number(fields[37]), policy: Number(fields[38]) };
});
console.log(JSON.stringify({ refusal, threads }));
`;

interface Thread {
  main: boolean;
  priority: number;
  /** 0 SCHED_OTHER, 1 SCHED_FIFO */
  policy: number;
}

const NODE = [process.execPath, '--input-type=module', '-e', PROGRAM];

async function take(
  priority: number,
  [command = '', ...args] = NODE,
): Promise<{ refusal?: string; threads: Thread[] }> {
  return JSON.parse((await run(command, [...args, String(priority)])).stdout);
}

describe('the real-time priority', () => {
  it('is that of the calling thread alone', async () => {
    const { refusal, threads } = await take(7);
    expect(refusal).toBeUndefined();
    expect(threads.filter(({ main }) => main)).toEqual([{ main: true, priority: 7, policy: 1 }]);
    const others = threads.filter(({ main }) => !main);
    expect(others.length).toBeGreaterThan(4);
    expect(others.filter(({ policy }) => policy !== 0)).toEqual([]);
  });

  it('is refused with the reason where the process has no right to it', async () => {
    const unprivileged = ['setpriv', '--bounding-set=-sys_nice', '--inh-caps=-sys_nice', '--no-new-privs', ...NODE];
    const { refusal, threads } = await take(7, ['prlimit', '--rtprio=0', ...unprivileged]);
    expect(refusal).toBe('it takes RLIMIT_RTPRIO (ulimit -r) or CAP_SYS_NICE');
    expect(threads.filter(({ policy }) => policy !== 0)).toEqual([]);
  });
});
