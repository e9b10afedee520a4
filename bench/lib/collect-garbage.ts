import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';

/** Port on which Node.js opens its inspector on SIGUSR1. */
const INSPECTOR = 'http://127.0.0.1:9229/json/list';
const ATTEMPTS = 100;
const ATTEMPT_MS = 50;

/**
 * Makes another Node.js process collect its garbage, through its inspector, which is closed again. One process at a time,
 * because all use the same port.
 * @throws Error if the inspector cannot be reached.
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
  // Runs twice: objects with finalizers are freed by the second collection.
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
