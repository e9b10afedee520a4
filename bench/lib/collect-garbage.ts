import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** Where Node.js opens its inspector when it gets SIGUSR1. */
const INSPECTOR = 'http://127.0.0.1:9229/json/list';
const ATTEMPTS = 100;
const ATTEMPT_MS = 50;

/**
 * Has another Node.js process collect all of its garbage, through its inspector, which is closed again. One process at a time:
 * they all open it at the same port.
 * @throws Error when the inspector can't be reached.
 */
export async function collectGarbage(pid: number): Promise<void> {
  process.kill(pid, 'SIGUSR1');
  const socket = new WebSocket(await inspectorOf(pid));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const ask = (id: number, method: string, params: object = {}) =>
    new Promise<void>((resolve, reject) => {
      socket.on('message', (data) => {
        if ((JSON.parse(String(data)) as { id?: number }).id === id) resolve();
      });
      socket.once('close', () => (method === 'Runtime.evaluate' ? resolve() : reject(new Error('inspector closed'))));
      socket.send(JSON.stringify({ id, method, params }));
    });
  // Twice: what the first finds finalizers for is only gone after the second.
  await ask(1, 'HeapProfiler.collectGarbage');
  await ask(2, 'HeapProfiler.collectGarbage');
  await ask(3, 'Runtime.evaluate', { expression: "process.getBuiltinModule('node:inspector').close()" });
  socket.terminate();
}

async function inspectorOf(pid: number): Promise<string> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const found = await fetch(INSPECTOR).then(
      async (response) => (await response.json()) as { webSocketDebuggerUrl: string }[],
      () => undefined,
    );
    const url = found?.[0]?.webSocketDebuggerUrl;
    if (url) return url;
    await sleep(ATTEMPT_MS);
  }
  throw new Error(`process ${pid} did not open its inspector`);
}
