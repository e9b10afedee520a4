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
  it('is started again when it ends by itself, and says why', async () => {
    const { supervised, seen } = supervise("console.log('run'); process.exit(3)");
    await until(() => seen.lines.length >= 2);
    expect(seen.restarts[0]).toBe('exit code 3');
    await supervised.stop();
  });

  it('is not started again when its configuration is wrong', async () => {
    const { supervised, seen } = supervise(`process.exit(${EXIT_CONFIG})`);
    await until(() => seen.hopeless.length === 1);
    expect(seen.restarts).toEqual([]);
    expect(await supervised.probe()).toBe('it is not running');
  });

  it('may finish what it owes when it is told to end', async () => {
    const { supervised, seen } = supervise(
      `process.on('SIGTERM', () => setTimeout(() => { console.log('finished'); process.exit(0) }, 50)); ${RUN_ON}`,
    );
    await until(() => seen.lines.includes('ready'));
    await supervised.stop();
    await until(() => seen.lines.includes('finished'));
    expect(seen.restarts).toEqual([]);
  });

  it('is killed when it does not end in time', async () => {
    const { supervised, seen } = supervise(`process.on('SIGTERM', () => {}); ${RUN_ON}`, { stopTimeoutMs: 50 });
    await until(() => seen.lines.includes('ready'));
    const pid = supervised.pid ?? 0;
    expect(isAlive(pid)).toBe(true);
    await supervised.stop();
    await until(() => !isAlive(pid));
  });

  it('leaves nothing behind that it started itself', async () => {
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

  it('ends when a program cannot be started, and tries again', async () => {
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

describe('waitUntilReady', () => {
  it('waits for all of them', async () => {
    const { supervised } = supervise(RUN_ON);
    const signal = new AbortController().signal;
    expect(await waitUntilReady([supervised], { timeoutMs: 20_000, signal })).toEqual([]);
  });

  it('says which is not ready in time, and why', async () => {
    const { supervised } = supervise('setInterval(() => {}, 1000)');
    const signal = new AbortController().signal;
    const waiting = await waitUntilReady([supervised], { timeoutMs: 0, signal });
    expect(waiting).toEqual([{ supervised, reason: 'not yet' }]);
  });
});
