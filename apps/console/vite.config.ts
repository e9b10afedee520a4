import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** `HUMANCAST_URL=http://localhost:8080 npx vite` serves the page from its sources, against a running stack. */
const backend = process.env['HUMANCAST_URL'] ?? 'http://127.0.0.1:8080';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  // A relative base, so that the page also works under a path prefix.
  base: './',
  resolve: {
    // Uses the packages' sources, so that nothing has to be built before the page.
    alias: {
      '@humancast/client': source('../../packages/client/src/index.ts'),
      '@humancast/element/define': source('../../packages/element/src/define.ts'),
    },
  },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: { index: source('index.html'), embed: source('embed.html'), element: source('src/element.ts') },
      // Pages of others name it, so it has no hash.
      output: { entryFileNames: ({ name }) => (name === 'element' ? 'element.js' : 'assets/[name]-[hash].js') },
    },
  },
  server: { proxy: { '/v1': { target: backend, ws: true } } },
});
