import { until } from '@humancast/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { EXIT_CONFIG, SupervisedProcess, waitUntilReady } from './supervisor.mjs';

const started: SupervisedProcess[] = [];
afterEach(() => {
  for (const supervised of started.splice(0)) supervised.kill();
});

function supervise(script: string, { stopTimeoutMs = 5000 } = {}) {
  const seen = { lines: [] as string[], restarts: [] as string[], hopeless: [] as string[] };
  const supervised = new SupervisedProcess(
    {
      name: 'it',
      command: process.execPath,
      args: ['-e', script],
      stopTimeoutMs,
      probe: async () => (seen.lines.includes('ready') ? undefined : 'not yet'),
    },
    {
      line: (line) => seen.lines.push(line),
      restarting: (reason) => seen.restarts.push(reason),
      hopeless: (reason) => seen.hopeless.push(reason),
    },
  );
  started.push(supervised);
  supervised.start();
  return { supervised, seen };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const RUN_ON = "setInterval(() => {}, 1000); console.log('ready');";

describe('SupervisedProcess', () => {
  it('restarts a process that ended, and reports the reason', async () => {
    const { supervised, seen } = supervise("console.log('run'); process.exit(3)");
    await until(() => seen.lines.length >= 2);
    expect(seen.restarts[0]).toBe('exit code 3');
    await supervised.stop();
  });

  it('does not restart a process with an invalid configuration', async () => {
    const { supervised, seen } = supervise(`process.exit(${EXIT_CONFIG})`);
    await until(() => seen.hopeless.length === 1);
    expect(seen.restarts).toEqual([]);
    expect(await supervised.probe()).toBe('not running');
  });

  it('lets the process finish on SIGTERM', async () => {
    const { supervised, seen } = supervise(
      `process.on('SIGTERM', () => setTimeout(() => { console.log('finished'); process.exit(0) }, 50)); ${RUN_ON}`,
    );
    await until(() => seen.lines.includes('ready'));
    await supervised.stop();
    await until(() => seen.lines.includes('finished'));
    expect(seen.restarts).toEqual([]);
  });

  it('kills a process that does not end in time', async () => {
    const { supervised, seen } = supervise(`process.on('SIGTERM', () => {}); ${RUN_ON}`, { stopTimeoutMs: 50 });
    await until(() => seen.lines.includes('ready'));
    const pid = supervised.pid ?? 0;
    expect(isAlive(pid)).toBe(true);
    await supervised.stop();
    await until(() => !isAlive(pid));
  });

  it('kills the children of the process, too', async () => {
    const child = JSON.stringify(RUN_ON);
    const { supervised, seen } = supervise(
      `const child = require('node:child_process').spawn(process.execPath, ['-e', ${child}]); console.log(child.pid); ${RUN_ON}`,
    );
    await until(() => seen.lines.includes('ready'));
    const grandchild = Number(seen.lines[0]);
    expect(isAlive(grandchild)).toBe(true);
    await supervised.stop();
    await until(() => !isAlive(grandchild));
  });

  it('retries a program that cannot be started', async () => {
    const restarts: string[] = [];
    const supervised = new SupervisedProcess(
      { name: 'it', command: '/nowhere/program', args: [], stopTimeoutMs: 100, probe: async () => undefined },
      { line: () => {}, restarting: (reason) => restarts.push(reason), hopeless: () => {} },
    );
    started.push(supervised);
    supervised.start();
    await until(() => restarts.length > 0);
    await supervised.stop();
  });
});

describe('waitUntilReady()', () => {
  it('waits for all processes', async () => {
    const { supervised } = supervise(RUN_ON);
    const signal = new AbortController().signal;
    expect(await waitUntilReady([supervised], { timeoutMs: 20_000, signal })).toEqual([]);
  });

  it('returns the processes that are not ready in time, with the reason', async () => {
    const { supervised } = supervise('setInterval(() => {}, 1000)');
    const signal = new AbortController().signal;
    const waiting = await waitUntilReady([supervised], { timeoutMs: 0, signal });
    expect(waiting).toEqual([{ supervised, reason: 'not yet' }]);
  });
});
