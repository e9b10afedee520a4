import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, it } from 'vitest';

const LIMIT_BYTES = 15 * 1024;

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

it('the element and the client together have at most 15 KiB, minified and gzipped', async () => {
  const output = await build({
    configFile: false,
    logLevel: 'silent',
    resolve: { alias: { '@humancast/client': source('../../client/src/index.ts') } },
    build: {
      write: false,
      target: 'es2022',
      minify: true,
      // As other bundlers do, and as `/element.js` is built: for a page, Vite adds a function that loads style sheets.
      lib: { entry: source('define.ts'), formats: ['es'] },
      rolldownOptions: { output: { minify: true } },
    },
  });
  const [entry] = [output].flat().flatMap((each) => ('output' in each ? each.output : []));
  if (entry?.type !== 'chunk') throw new Error('nothing was built');
  expect(entry.code).toContain('human-cast');
  // What is loaded on demand shares no chunk with it, which would be loaded at once.
  expect(entry.imports).toEqual([]);
  expect(gzipSync(entry.code, { level: 9 }).length).toBeLessThanOrEqual(LIMIT_BYTES);
});
