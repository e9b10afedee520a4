import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs Biome on a tree that violates each of the architecture's rules. */
const FILES = {
  'biome.json': '',
  'services/a/package.json': '{"dependencies":{"@nestjs/common":"1","@humancast/media-sender":"1"}}',
  'services/a/src/playout/pure.ts': "import { Module } from '@nestjs/common';\nexport const a = Module;\n",
  'services/a/src/playout/leak.ts':
    "import { ProblemFilter } from '@humancast/shared/nest';\nexport const a = ProblemFilter;\n",
  'services/a/src/a.module.ts': "import { Module } from '@nestjs/common';\nexport const a = Module;\n",
  'services/a/src/other.module.ts': "import { x } from '@humancast/media-sender';\nexport const a = x;\n",
  'services/a/src/undeclared.ts': "import { z } from 'zod';\nexport const a = z;\n",
  'services/a/src/one.ts': "import { two } from './two.js';\nexport const one = () => two;\n",
  'services/a/src/two.ts': "import { one } from './one.js';\nexport const two = () => one;\n",
};

describe('lint rules', () => {
  let folder: string;
  let problems: { file: string; rule: string }[];

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-lint-'));
    for (const [path, text] of Object.entries(FILES)) {
      mkdirSync(dirname(join(folder, path)), { recursive: true });
      writeFileSync(join(folder, path), text);
    }
    cpSync(join(root, 'biome.json'), join(folder, 'biome.json'));
    problems = await lint(folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const of = (file: string) => problems.filter((problem) => problem.file === file).map((problem) => problem.rule);

  it('reject framework imports in pure logic', () => {
    expect(of('services/a/src/playout/pure.ts')).toEqual(['lint/style/noRestrictedImports']);
    expect(of('services/a/src/playout/leak.ts')).toContain('lint/style/noRestrictedImports');
  });

  it('allow framework imports at the edge', () => {
    expect(of('services/a/src/a.module.ts')).toEqual([]);
  });

  it('reject imports between services, also at the edge', () => {
    expect(of('services/a/src/other.module.ts')).toEqual(['lint/style/noRestrictedImports']);
  });

  it('reject a package that the workspace does not declare, because its image would lack it', () => {
    expect(of('services/a/src/undeclared.ts')).toEqual(['lint/correctness/noUndeclaredDependencies']);
  });

  it('find import cycles', () => {
    expect(of('services/a/src/one.ts')).toEqual(['lint/suspicious/noImportCycles']);
  });
});

interface Report {
  diagnostics: { category: string; location: { path: string } }[];
}

function lint(folder: string): Promise<{ file: string; rule: string }[]> {
  const args = ['lint', '--vcs-enabled=false', '--reporter=json', '.'];
  return new Promise((resolve, reject) => {
    // It exits with 1 because it finds violations.
    execFile(join(root, 'node_modules/.bin/biome'), args, { cwd: folder }, (_error, stdout, stderr) => {
      try {
        const report = JSON.parse(stdout) as Report;
        resolve(report.diagnostics.map(({ category, location }) => ({ file: location.path, rule: category })));
      } catch {
        reject(new Error(`biome failed: ${stdout}${stderr}`));
      }
    });
  });
}
