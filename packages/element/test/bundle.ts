import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** @returns The built files by path: `/element.js`, and what it loads on demand. */
export async function bundleElement(): Promise<ReadonlyMap<string, string>> {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: {
      alias: { '@humancast/client': fileURLToPath(new URL('../../client/src/index.ts', import.meta.url)) },
    },
    build: {
      write: false,
      lib: {
        entry: fileURLToPath(new URL('../src/define.ts', import.meta.url)),
        formats: ['es'],
        fileName: () => 'element.js',
      },
    },
  });
  const files = [output].flat().flatMap((each) => ('output' in each ? each.output : []));
  return new Map(files.map((file) => [`/${file.fileName}`, file.type === 'chunk' ? file.code : '']));
}

/**
 * @param html A page of the element, which has no poster.
 * @param headers of that page.
 * @returns A handler that serves the page, the element, and what it loads on demand, and the paths that were requested so far.
 */
export async function serveElement(html: string, headers: OutgoingHttpHeaders = {}) {
  const files = await bundleElement();
  const requested: string[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    const { pathname } = new URL(request.url ?? '', 'http://signaling');
    requested.push(pathname);
    const script = files.get(pathname);
    if (script !== undefined) response.setHeader('content-type', 'text/javascript').end(script);
    else if (pathname.endsWith('/poster')) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': 'text/html', ...headers }).end(html);
  };
  return { handle, requested };
}
