import { fileURLToPath } from 'node:url';
import { build, defineConfig, type Plugin, type ResolvedConfig } from 'vite';

/** `HUMANCAST_URL=http://localhost:8080 npx vite` serves the page from its sources, against a running stack. */
const backend = process.env['HUMANCAST_URL'] ?? 'http://127.0.0.1:8080';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const alias = {
  // Uses the packages' sources, so that nothing has to be built before the page.
  '@humancast/client': source('../../packages/client/src/index.ts'),
  '@humancast/element/define': source('../../packages/element/src/define.ts'),
};

/** Builds `/element.js` beside the pages: one file, which pages of others name, with what is loaded on demand beside it. */
function element(): Plugin {
  let pages: ResolvedConfig;
  return {
    name: 'element',
    apply: 'build',
    configResolved(config) {
      pages = config;
    },
    async closeBundle() {
      await build({
        configFile: false,
        root: pages.root,
        base: pages.base,
        logLevel: pages.logLevel ?? 'info',
        resolve: { alias },
        build: {
          outDir: pages.build.outDir,
          emptyOutDir: false,
          copyPublicDir: false,
          target: 'es2022',
          minify: true,
          lib: { entry: source('src/element.ts'), formats: ['es'], fileName: () => 'element.js' },
          rolldownOptions: { output: { minify: true, chunkFileNames: 'assets/[name]-[hash].js' } },
        },
      });
    },
  };
}

export default defineConfig({
  // A relative base, so that the page also works under a path prefix.
  base: './',
  resolve: { alias },
  plugins: [element()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    modulePreload: false,
    assetsInlineLimit: 0,
    rolldownOptions: { input: { index: source('index.html'), embed: source('embed.html') } },
  },
  server: { proxy: { '/v1': { target: backend, ws: true } } },
});
