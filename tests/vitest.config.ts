import { defineConfig } from 'vitest/config';

/** What crosses services: real browsers, real servers, built code. One file at a time, because they share two cores. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
