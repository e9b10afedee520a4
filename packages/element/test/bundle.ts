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
