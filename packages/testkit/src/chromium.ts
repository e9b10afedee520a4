import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

export interface TestChromium {
  readonly context: BrowserContext;
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
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}
