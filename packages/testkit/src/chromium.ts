import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium } from 'playwright-core';

export interface TestChromium {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

/**
 * A headless Chromium with a profile of its own, in which media may play by itself. The browser is the system's, or the
 * one that `CHROMIUM_PATH` names.
 * @param options.handleSignals whether SIGINT and SIGTERM end the browser and then this process at once, which is
 * playwright's way; switch it off where more is to be cleaned up. Default true.
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
