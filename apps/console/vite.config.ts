import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** `HUMANCAST_URL=http://localhost:8080 npx vite` serves the page from its sources, against a running stack. */
const backend = process.env['HUMANCAST_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  // A relative base, so that the page also works under a path prefix.
  base: './',
  resolve: {
    // Uses the client's sources, so that nothing has to be built before the page.
    alias: { '@humancast/client': fileURLToPath(new URL('../../packages/client/src/index.ts', import.meta.url)) },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { target: 'es2022', modulePreload: false, assetsInlineLimit: 0 },
  server: { proxy: { '/v1': { target: backend, ws: true } } },
});
