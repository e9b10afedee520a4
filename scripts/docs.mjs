// Regenerates the generated pages of docs/: every script in scripts/docs writes its page, or checks it with --check.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runMain, Stop } from './lib/output.mjs';
import { PINNED_NODE, ROOT, run } from './lib/run.mjs';

runMain(async () => {
  for (const name of readdirSync(join(ROOT, 'scripts/docs')).filter((file) => file.endsWith('.mjs'))) {
    const { code } = await run(PINNED_NODE, [join('scripts/docs', name)]);
    if (code !== 0) throw new Stop(`scripts/docs/${name} failed`);
  }
});
