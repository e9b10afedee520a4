import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration } from 'vitest/config';

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Tests beside the code run on the sources, so that nothing has to be built first. */
const onSources = {
  alias: [
    { find: /^@humancast\/element\/define$/, replacement: source('packages/element/src/define.ts') },
    { find: /^@humancast\/protocol\/openapi$/, replacement: source('packages/protocol/src/openapi.ts') },
    { find: /^@humancast\/shared\/nest$/, replacement: source('packages/shared/src/nest/index.ts') },
    {
      find: /^@humancast\/(protocol|shared|client|element|testkit|producer|demo-face)$/,
      replacement: source('packages/$1/src/index.ts'),
    },
  ],
};

const BESIDE_THE_CODE = '{packages,services,apps,clients,examples,bench,scripts,infra}/**';
const NOT_OURS = ['**/node_modules/**', '**/dist/**'];

/** Node's permission model with everything allowed but to start a program, and without its warnings about that. */
const NO_PROGRAMS = [
  '--permission',
  '--allow-fs-read=*',
  '--allow-fs-write=*',
  '--allow-net',
  '--allow-worker',
  '--allow-addons',
  '--disable-warning=SecurityWarning',
  '--disable-warning=ExperimentalWarning',
];

/** Timeouts that a machine with more work than cores does not reach. */
const BUSY_MACHINE = { testTimeout: 30_000, hookTimeout: 60_000, expect: { poll: { timeout: 10_000 } } };

/** A test's project shows in its file's name, or in its folder for what crosses services. */
const projects: TestProjectInlineConfiguration[] = [
  {
    resolve: onSources,
    test: {
      name: 'unit',
      include: [`${BESIDE_THE_CODE}/*.test.{ts,tsx}`],
      exclude: [...NOT_OURS, '**/*.{integration,browser}.test.ts'],
      execArgv: NO_PROGRAMS,
      // Most of the time would go into loading the same modules for each file.
      isolate: false,
      ...BUSY_MACHINE,
    },
  },
  {
    resolve: onSources,
    test: {
      name: 'integration',
      include: [`${BESIDE_THE_CODE}/*.integration.test.ts`],
      exclude: NOT_OURS,
      ...BUSY_MACHINE,
    },
  },
  {
    resolve: onSources,
    test: {
      name: 'browser',
      include: [`${BESIDE_THE_CODE}/*.browser.test.ts`],
      exclude: NOT_OURS,
      ...BUSY_MACHINE,
    },
  },
  {
    // On the built code, and one file at a time: each starts a whole stack.
    test: {
      name: 'e2e',
      include: ['tests/*.test.ts'],
      fileParallelism: false,
      testTimeout: 120_000,
      hookTimeout: 120_000,
    },
  },
  {
    resolve: onSources,
    cacheDir: 'node_modules/.vite-containers',
    test: {
      name: 'containers',
      include: ['tests/containers/*.scenario.ts'],
      testTimeout: 400_000,
      hookTimeout: 1_500_000,
    },
  },
];

export default defineConfig({
  // Two cores, and real servers beside the tests.
  test: { projects, maxWorkers: 2 },
});
