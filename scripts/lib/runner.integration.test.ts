import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from '@humancast/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'humancast-runner-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const RUN_ON = 'setInterval(() => {}, 1000);';
const STOPPING = `process.on('SIGTERM', () => { console.log('stopping'); process.exit(0) }); console.log('up'); ${RUN_ON}`;
const IGNORING_SIGTERM = `process.on('SIGTERM', () => {}); console.log('up'); ${RUN_ON}`;

/** Starts a process that runs groups of small programs, like `npm start`. */
function startRunner(groups: Record<string, string>[], options: RunnerOptions = {}) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', runnerScript(groups, options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += chunk;
  });
  return { child, output: () => output };
}

interface RunnerOptions {
  ready?: boolean;
  stopTimeoutMs?: number;
}

function runnerScript(
  groups: Record<string, string>[],
  { ready = true, stopTimeoutMs = 10_000 }: RunnerOptions,
): string {
  return `
    import { Runner } from ${JSON.stringify(new URL('./runner.mjs', import.meta.url).href)};
    const runner = new Runner({ logFolder: ${JSON.stringify(folder)}, verbose: true });
    for (const [i, group] of ${JSON.stringify(groups)}.entries()) {
      await runner.start('group ' + i, Object.entries(group).map(([name, script]) => ({
        name, command: process.execPath, args: ['-e', script], stopTimeoutMs: ${stopTimeoutMs},
        probe: async () => ${ready} ? undefined : 'a reason',
      })), 2000);
    }
    console.log('all started');
  `;
}

const exitOf = (child: ChildProcess) =>
  new Promise<number | null>((resolve) => {
    child.once('close', (code) => resolve(code));
  });

describe('Runner', () => {
  it('stops groups in reverse order on SIGTERM', async () => {
    const { child, output } = startRunner([{ database: STOPPING }, { service: STOPPING }]);
    await until(() => output().includes('service up') && output().includes('database up'));
    const exit = exitOf(child);
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    const serviceStop = output().indexOf('service stopping');
    expect(serviceStop).toBeGreaterThan(0);
    expect(output().indexOf('database stopping')).toBeGreaterThan(serviceStop);
  });

  it('treats two simultaneous signals as one, because npm forwards the terminal’s', async () => {
    const { child, output } = startRunner([{ service: STOPPING }]);
    await until(() => output().includes('service up'));
    const exit = exitOf(child);
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect(await exit).toBe(0);
    expect(output()).toContain('stopped');
  });

  it('kills everything on a second signal', async () => {
    const { child, output } = startRunner([{ service: IGNORING_SIGTERM }]);
    await until(() => output().includes('service up'));
    const exit = exitOf(child);
    child.kill('SIGINT');
    await until(() => output().includes('Stopping'));
    const again = setInterval(() => child.kill('SIGINT'), 200);
    expect(await exit).toBe(1);
    clearInterval(again);
  });

  it('reports a process that does not become ready with its last log lines, and stops the others', async () => {
    const { child, output } = startRunner([{ service: STOPPING }], { ready: false });
    expect(await exitOf(child)).toBe(1);
    expect(output()).toContain('service is not ready: a reason');
    expect(output()).toMatch(/a reason\n {4}.*up/);
  });

  it('stops everything in order when its parent npm is killed', async () => {
    const script = `
      import { spawn } from 'node:child_process';
      const env = { ...process.env, npm_lifecycle_event: 'start' };
      spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(runnerScript([{ service: STOPPING }], {}))}],
        { env, stdio: 'ignore' });
      ${RUN_ON}
    `;
    const npm = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' });
    const log = () => {
      const path = join(folder, 'service.log');
      return existsSync(path) ? readFileSync(path, 'utf8') : '';
    };
    await until(() => log().includes('up'));
    npm.kill('SIGKILL');
    await until(() => log().includes('stopping'));
  });

  it('stops at once on an invalid configuration', async () => {
    const wrong = "console.error('PORT: must be a number'); process.exit(78)";
    const { child, output } = startRunner([{ service: wrong }], { ready: false });
    expect(await exitOf(child)).toBe(1);
    expect(output()).toContain('service cannot start');
    expect(output()).toContain('PORT: must be a number');
  });
});
