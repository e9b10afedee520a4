import { fileURLToPath } from 'node:url';

/** Arguments to Node.js that run the live encoder from its sources. */
export const ENCODER_SOURCES: readonly string[] = [
  '--import',
  new URL('./run-sources.mjs', import.meta.url).href,
  fileURLToPath(new URL('../src/live/encoder/main.ts', import.meta.url)),
];
