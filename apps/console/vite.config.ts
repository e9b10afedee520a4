import { fileURLToPath } from 'node:url';
import { defineConfig, type UserConfig } from 'vite';

/** `HUMANCAST_URL=http://localhost:8080 npx vite` serves the page from its sources, against a running stack. */
const backend = process.env['HUMANCAST_URL'] ?? 'http://127.0.0.1:8080';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const alias = {
  // Uses the packages' sources, so that nothing has to be built before the page.
  '@humancast/client': source('../../packages/client/src/index.ts'),
  '@humancast/element/define': source('../../packages/element/src/define.ts'),
};

/** `vite build --mode element` builds `/element.js`, which pages of others name: one file, with what is loaded on demand beside it. */
const element: UserConfig = {
  base: './',
  resolve: { alias },
  build: {
    target: 'es2022',
    emptyOutDir: false,
    copyPublicDir: false,
    minify: true,
    lib: { entry: source('src/element.ts'), formats: ['es'], fileName: () => 'element.js' },
    rolldownOptions: { output: { minify: true, chunkFileNames: 'assets/[name]-[hash].js' } },
  },
};

const pages: UserConfig = {
  // A relative base, so that the page also works under a path prefix.
  base: './',
  resolve: { alias },
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: { input: { index: source('index.html'), embed: source('embed.html') } },
  },
  server: { proxy: { '/v1': { target: backend, ws: true } } },
};

export default defineConfig(({ mode }) => (mode === 'element' ? element : pages));
