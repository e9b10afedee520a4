import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Cleanup } from '@humancast/testkit';
import { transformWithOxc } from 'vite';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** Serves the benchmarks' pages and the built client. */
const SERVED = ['/bench/', '/packages/client/dist/'];
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.ts': 'text/javascript',
};

/**
 * Serves the bench pages on a free loopback port; TypeScript is served with types removed.
 * @returns the origin.
 */
export async function servePages(cleanup: Cleanup): Promise<string> {
  const server = createServer((request, response) => {
    void load(request.url ?? '/').then(
      ({ type, body }) => response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  cleanup.add(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return `http://127.0.0.1:${address.port}`;
}

async function load(url: string): Promise<{ type: string; body: string }> {
  const path = normalize(new URL(url, 'http://localhost').pathname);
  const type = TYPES[extname(path)];
  if (type === undefined || !SERVED.some((prefix) => path.startsWith(prefix))) throw new Error('not served');
  const text = await readFile(join(ROOT, path), 'utf8');
  const body = extname(path) === '.ts' ? (await transformWithOxc(text, path)).code : text;
  return { type, body };
}
