import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
/** File with the commit of the version that updates come from; docs/upgrading.md says when it moves. */
const COMMIT_FILE = join(import.meta.dirname, 'previous.txt');
const SERVICES = ['signaling', 'segment-loader', 'media-sender'] as const;
const BUILT = '.built';

/**
 * Builds the services of the previous version from this repository's history, once per commit. Their workspace packages are
 * those of that commit; npm's are those installed here.
 * @returns the folder of the built services.
 * @throws Error if the history lacks the commit, as in a shallow clone.
 */
export function buildPreviousVersion(): string {
  const commit = readFileSync(COMMIT_FILE, 'utf8').trim();
  requireCommit(commit);
  // The folder is inside node_modules, so that Node finds npm's packages in its parents.
  const folder = join(ROOT, 'node_modules/.cache/humancast', `previous-${commit}`);
  if (existsSync(join(folder, BUILT))) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const archive = join(folder, 'sources.tar');
  git('archive', '--output', archive, commit, 'package.json', 'tsconfig.base.json', 'packages', 'services');
  execFileSync('tar', ['-xf', archive, '-C', folder]);
  linkPackages(folder);
  const projects = SERVICES.map((service) => join(folder, 'services', service));
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [compiler, '-b', ...projects], { stdio: ['ignore', 'inherit', 'inherit'] });
  writeFileSync(join(folder, BUILT), '');
  return folder;
}

function requireCommit(commit: string): void {
  if (!/^[0-9a-f]{40}$/.test(commit)) throw new Error(`${COMMIT_FILE} must have the full hash of a commit`);
  try {
    git('cat-file', '-e', `${commit}^{commit}`);
  } catch (cause) {
    throw new Error(
      `the previous version is commit ${commit}, which this clone does not have; fetch the whole history (git fetch --unshallow)`,
      { cause },
    );
  }
}

/** Makes imports of `@humancast/…` find that commit's packages. */
function linkPackages(folder: string): void {
  const scope = join(folder, 'node_modules/@humancast');
  mkdirSync(scope, { recursive: true });
  for (const kind of ['packages', 'services']) {
    for (const name of readdirSync(join(folder, kind))) {
      const path = join(folder, kind, name);
      const manifest = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { name: string };
      symlinkSync(path, join(folder, 'node_modules', manifest.name));
    }
  }
}

function git(...args: string[]): string {
  return execFileSync('git', ['-C', ROOT, ...args], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}
