import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

export interface TestChromium {
  readonly context: BrowserContext;
  /** Stops all processes of the browser while `work` runs, as in a laptop that sleeps. */
  asleep(work: () => Promise<void>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Starts a headless Chromium with its own profile, which may play media without a user gesture. Uses the system's browser,
 * or the one at `CHROMIUM_PATH`.
 * @param options.handleSignals whether SIGINT and SIGTERM end the browser and this process at once, as playwright does.
 * Switch it off if there is more to clean up. Default true.
 */
export async function launchChromium(
  options: { args?: readonly string[]; handleSignals?: boolean } = {},
): Promise<TestChromium> {
  const { args = [], handleSignals = true } = options;
  const profile = mkdtempSync(join(tmpdir(), 'humancast-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    headless: true,
    handleSIGINT: handleSignals,
    handleSIGTERM: handleSignals,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--autoplay-policy=no-user-gesture-required',
      ...args,
    ],
  });
  return {
    context,
    async asleep(work) {
      const pids = processesOf(profile);
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
      try {
        await work();
      } finally {
        for (const pid of pids) process.kill(pid, 'SIGCONT');
      }
    },
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** @returns The process that uses the profile, and all that it has started. */
function processesOf(profile: string): number[] {
  const rows = execFileSync('ps', ['-e', '-ww', '-o', 'pid=,ppid=,args='], { encoding: 'utf8' })
    .split('\n')
    .map((line) => /^ *(\d+) +(\d+) (.*)$/.exec(line) ?? [])
    .map(([, pid, parent, args = '']) => ({ pid: Number(pid), parent: Number(parent), args }));
  const found = new Set(rows.filter(({ args }) => args.includes(`--user-data-dir=${profile}`)).map(({ pid }) => pid));
  // A set yields what is added while it is iterated.
  for (const each of found) for (const { pid, parent } of rows) if (parent === each) found.add(pid);
  return [...found];
}
