import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { freePort } from './ports.js';
import type { Stack } from './stack.js';
import { spawnTied } from './tied.js';

const MAIN = join(fileURLToPath(new URL('../../..', import.meta.url)), 'examples/demo-producer/dist/main.js');
const START_TIMEOUT_MS = 20_000;

/** A line of the demo producer's log. */
interface DemoProducerLogLine {
  readonly msg: string;
  readonly time: string;
  readonly [field: string]: unknown;
}

export interface TestDemoProducer {
  readonly name: 'demo-producer';
  readonly metricsUrl: string;
  /** @returns the lines logged so far. */
  log(): DemoProducerLogLine[];
  stop(): Promise<void>;
}

/** Starts the built demo producer beside a stack that was started with `SAY_URL=http://127.0.0.1:<port>`. */
export async function startDemoProducer(
  stack: Stack,
  port: number,
  /** Additional settings. */
  env: Readonly<Record<string, string>> = {},
): Promise<TestDemoProducer> {
  const metricsPort = await freePort();
  const child = spawnTied(process.execPath, [MAIN], {
    env: {
      PATH: process.env['PATH'],
      BIND_ADDRESS: '127.0.0.1',
      HUMANCAST_API_KEY: stack.sayKey,
      SIGNALING_URL: stack.signalingUrl,
      LOADER_URL: stack.loaderUrl,
      SAY_PORT: String(port),
      SAY_METRICS_PORT: String(metricsPort),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'exit');
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  for (const deadline = Date.now() + START_TIMEOUT_MS; ; ) {
    const ready = await fetch(`http://127.0.0.1:${metricsPort}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) break;
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill('SIGKILL');
      throw new Error(`the demo producer is not ready:\n${text}`);
    }
    await sleep(50);
  }
  return {
    name: 'demo-producer',
    metricsUrl: `http://127.0.0.1:${metricsPort}`,
    log: () =>
      text
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as DemoProducerLogLine),
    stop,
  };
}
