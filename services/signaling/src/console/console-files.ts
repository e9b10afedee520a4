import type { ServerResponse } from 'node:http';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The built console in this repository, relative to both `src/console` and `dist/console`. */
const BUILT_HERE = fileURLToPath(new URL('../../../../apps/console/dist', import.meta.url));
/** The bundler puts a content hash into these files' names. */
const HASHED = `assets${sep}`;

interface StaticFiles {
  useStaticAssets(folder: string, options: object): unknown;
}

/** @param configured The folder of the built console; empty for the one in this repository. */
export function serveConsole(app: StaticFiles, configured: string): void {
  const folder = configured === '' ? BUILT_HERE : resolve(configured);
  app.useStaticAssets(folder, {
    index: 'index.html',
    extensions: ['html'],
    dotfiles: 'ignore',
    setHeaders: cacheHeaders(folder),
  });
}

/** Hashed files are cached forever; the page that names them is revalidated each time. */
function cacheHeaders(folder: string): (response: ServerResponse, path: string) => void {
  return (response, path) => {
    const inside = isAbsolute(path) ? relative(folder, path) : path;
    const hashed = inside.startsWith(HASHED);
    response.setHeader('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
  };
}
