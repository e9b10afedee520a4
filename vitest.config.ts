import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Tests run on the sources, so that nothing has to be built first. */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@humancast\/protocol\/openapi$/, replacement: source('packages/protocol/src/openapi.ts') },
      { find: /^@humancast\/shared\/nest$/, replacement: source('packages/shared/src/nest/index.ts') },
      { find: /^@humancast\/shared\/testing$/, replacement: source('packages/shared/src/testing/index.ts') },
      {
        find: /^@humancast\/(protocol|shared|client|testkit|producer|demo-face)$/,
        replacement: source('packages/$1/src/index.ts'),
      },
    ],
  },
  test: {
    include: ['{packages,services,apps,clients,examples,bench,scripts,infra,tools}/**/*.test.{ts,tsx}'],
    exclude: ['**/node_modules/**', '**/dist/**'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Two cores, and real servers beside the tests.
    maxWorkers: 2,
  },
});
