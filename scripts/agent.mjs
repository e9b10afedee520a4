// Starts the speech-to-speech agent of examples/realtime-agent, and the stack unless it is running. Plain JavaScript for
// Node.js 20 without packages, as scripts/start.mjs.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { build } from './lib/build.mjs';
import { ensurePrograms } from './lib/debian-packages.mjs';
import { ensureNpmPackages } from './lib/npm-packages.mjs';
import { runMain, Stop } from './lib/output.mjs';
import { PINNED_NODE, ROOT, withPinnedNode } from './lib/run.mjs';
import { ensureSecrets, readSecret } from './lib/secrets.mjs';
import { reachable } from './lib/stack.mjs';
import { readStartConfig } from './lib/start-config.mjs';

const START = join(ROOT, 'scripts/start.mjs');
const AGENT = join(ROOT, 'examples/realtime-agent/dist/main.js');

runMain(async () => {
  const args = process.argv.slice(2);
  await ensureNpmPackages();
  await ensurePrograms(['espeak-ng']);
  await build();
  const config = await readStartConfig(process.env, { senders: 1, demoProducer: true });
  const { signaling, loader, stateDir } = config;
  const signalingUrl = urlOf(signaling);
  const isHelp = args.includes('--help');
  const stack = isHelp || (await answers(signalingUrl)) ? undefined : startStack();
  // Created by the stack's first start, or now.
  const apiKey = process.env['HUMANCAST_API_KEY'] || readSecret(ensureSecrets(stateDir).files['api-key']);
  const agent = spawn(PINNED_NODE, [AGENT, ...args], {
    cwd: ROOT,
    stdio: 'inherit',
    env: {
      LOG_LEVEL: 'warn',
      ...withPinnedNode(config.env),
      HUMANCAST_API_KEY: apiKey,
      SIGNALING_URL: signalingUrl,
      LOADER_URL: urlOf(loader),
    },
  });
  // The terminal's Ctrl-C reaches all of them; a signal from elsewhere only this process.
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.on(signal, () => agent.kill(signal));
  const [code] = await once(agent, 'exit');
  if (stack && stack.exitCode === null) {
    stack.kill('SIGTERM');
    await once(stack, 'exit');
  }
  if (code !== 0) throw new Stop('the agent has ended');
});

/** @returns the stack, which the agent waits for. */
function startStack() {
  return spawn(process.execPath, [START], { cwd: ROOT, stdio: 'inherit' });
}

/** Whether a stack answers. @param {string} url */
async function answers(url) {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2000) })).ok;
  } catch {
    return false;
  }
}

/** @param {{ bindAddress: string, port: number }} listener */
const urlOf = ({ bindAddress, port }) => `http://${reachable(bindAddress)}:${port}`;
