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
const OBEDIENT = `process.on('SIGTERM', () => { console.log('told'); process.exit(0) }); console.log('up'); ${RUN_ON}`;
const STUBBORN = `process.on('SIGTERM', () => {}); console.log('up'); ${RUN_ON}`;

/** A process of its own that runs groups of little programs, as `npm start` does. */
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
        probe: async () => ${ready} ? undefined : 'it is shy',
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
  it('ends what was started last first, when it is told to end', async () => {
    const { child, output } = startRunner([{ database: OBEDIENT }, { service: OBEDIENT }]);
    await until(() => output().includes('service up') && output().includes('database up'));
    const exit = exitOf(child);
    child.kill('SIGTERM');
    expect(await exit).toBe(0);
    const told = output().indexOf('service told');
    expect(told).toBeGreaterThan(0);
    expect(output().indexOf('database told')).toBeGreaterThan(told);
  });

  it('takes two signals at one instant for one: npm hands on what the terminal sent us already', async () => {
    const { child, output } = startRunner([{ service: OBEDIENT }]);
    await until(() => output().includes('service up'));
    const exit = exitOf(child);
    child.kill('SIGINT');
    child.kill('SIGINT');
    expect(await exit).toBe(0);
    expect(output()).toContain('ended');
  });

  it('kills everything when it is told a second time', async () => {
    const { child, output } = startRunner([{ service: STUBBORN }]);
    await until(() => output().includes('service up'));
    const exit = exitOf(child);
    child.kill('SIGINT');
    await until(() => output().includes('Ending'));
    const again = setInterval(() => child.kill('SIGINT'), 200);
    expect(await exit).toBe(1);
    clearInterval(again);
  });

  it('names the one that does not get ready, with its last words, and ends the others', async () => {
    const { child, output } = startRunner([{ service: OBEDIENT }], { ready: false });
    expect(await exitOf(child)).toBe(1);
    expect(output()).toContain('service is not ready: it is shy');
    expect(output()).toMatch(/is shy\n {4}.*up/);
  });

  it('ends everything in order when the npm that started it is killed', async () => {
    const script = `
      import { spawn } from 'node:child_process';
      const env = { ...process.env, npm_lifecycle_event: 'start' };
      spawn(process.execPath, ['--input-type=module', '-e', ${JSON.stringify(runnerScript([{ service: OBEDIENT }], {}))}],
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
    await until(() => log().includes('told'));
  });

  it('gives up at once when a configuration is wrong', async () => {
    const wrong = "console.error('PORT: must be a number'); process.exit(78)";
    const { child, output } = startRunner([{ service: wrong }], { ready: false });
    expect(await exitOf(child)).toBe(1);
    expect(output()).toContain('service cannot start');
    expect(output()).toContain('PORT: must be a number');
  });
});
