import { fileURLToPath } from 'node:url';
import { mergeConfig } from 'vitest/config';
import shared from '../vitest.config.js';

/** Real containers: one scenario, told in order. */
export default mergeConfig(shared, {
  cacheDir: fileURLToPath(new URL('../../node_modules/.vite-containers', import.meta.url)),
  test: { root: import.meta.dirname, include: ['*.scenario.ts'], testTimeout: 400_000, hookTimeout: 1_500_000 },
});
