// Writes the software bill of materials (CycloneDX 1.5, JSON) of the lock file's packages: `npm run sbom -- [--out FILE]`. Packages
// for development only are marked (`cdx:npm:package:development`).
// The same lock file gives the same bytes. `--check` writes nothing, and exits with 1 if the document would be incomplete.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packagesOf } from './lib/dependency-rules.mjs';
import { runMain, Stop, say } from './lib/output.mjs';
import { ROOT, run } from './lib/run.mjs';
import { deterministic, problemsOf } from './lib/sbom.mjs';

runMain(async () => {
  const { values } = parseArgs({
    options: {
      out: { type: 'string', default: 'sbom.cdx.json' },
      check: { type: 'boolean', default: false },
    },
  });
  const args = ['sbom', '--sbom-format=cyclonedx', '--sbom-type=application', '--package-lock-only'];
  const { code, output } = await run('npm', args, { quiet: true });
  if (code !== 0) throw new Stop(`npm sbom failed:\n${output.trim()}`);
  const lockText = readFileSync(join(ROOT, 'package-lock.json'), 'utf8');
  const lock = JSON.parse(lockText);
  const bom = deterministic(JSON.parse(output), createHash('sha256').update(lockText).digest('hex'));
  const problems = problemsOf(bom, packagesOf(lock));
  for (const problem of problems) say(problem);
  if (problems.length > 0) throw new Stop(`the bill of materials has ${problems.length} problems`);
  if (!values.check) writeFileSync(values.out, `${JSON.stringify(bom, null, 2)}\n`);
  say(`${bom.components.length} components${values.check ? '' : ` in ${values.out}`}`);
});
