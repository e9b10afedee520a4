// A site of its own with an avatar: `HUMANCAST_API_KEY=… node examples/page/serve.mjs`, then open http://127.0.0.1:8090.
// humancast needs ALLOWED_ORIGINS=http://127.0.0.1:8090, and for /frame.html EMBED_ANCESTORS with the same.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';

const { HUMANCAST_URL = 'http://127.0.0.1:8080', HUMANCAST_API_KEY = '', AVATAR = 'demo', PORT = '8090' } = process.env;
const TYPES = new Map([
  ['/plain.html', 'text/html; charset=utf-8'],
  ['/plain.css', 'text/css'],
  ['/frame.html', 'text/html; charset=utf-8'],
]);

/** Creates a session with the API key, which the page never sees. */
async function createSession() {
  const response = await fetch(`${HUMANCAST_URL}/v1/sessions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${HUMANCAST_API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ avatar: AVATAR }),
  });
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);
  const { id, token } = await response.json();
  return { url: HUMANCAST_URL, id, token };
}

createServer(async (request, response) => {
  try {
    const path = request.url === '/' ? '/plain.html' : (request.url ?? '');
    if (path === '/session') {
      response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
      response.end(JSON.stringify(await createSession()));
    } else if (TYPES.has(path)) {
      response.writeHead(200, { 'content-type': TYPES.get(path) });
      response.end(await readFile(new URL(`.${path}`, import.meta.url)));
    } else response.writeHead(404).end();
  } catch (error) {
    console.error(error);
    response.writeHead(502).end();
  }
}).listen(Number(PORT), '127.0.0.1', () => console.log(`http://127.0.0.1:${PORT}`));
