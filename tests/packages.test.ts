import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
/** An integrator's compiler settings at their strictest; declarations of packages are checked, too. */
const COMPILER = {
  strict: true,
  noEmit: true,
  skipLibCheck: false,
  exactOptionalPropertyTypes: true,
  target: 'es2024',
};

interface Manifest {
  version: string;
  private?: boolean;
  exports: Readonly<Record<string, object>>;
}

const read = (path: string) => JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as Manifest;
const run = async (program: string, args: readonly string[], cwd: string) =>
  (await promisify(execFile)(program, args, { cwd })).stdout;

describe('published packages', () => {
  let folder: string;
  const packages = readdirSync(join(ROOT, 'packages')).filter((name) => !read(`packages/${name}/package.json`).private);

  /** Creates a project outside of the repository, and installs the packed packages there with their declared dependencies. */
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-packages-'));
    const workspaces = packages.flatMap((name) => ['-w', `packages/${name}`]);
    await run('npm', ['pack', ...workspaces, '--pack-destination', folder], ROOT);
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }));
    const archives = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
    const types = [`@types/node@${read('node_modules/@types/node/package.json').version}`, '@types/react@19.3.3'];
    const options = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'];
    await run('npm', ['install', ...options, ...types, ...archives.map((name) => `./${name}`)], folder);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  async function typeErrors(file: string, code: string, options: object): Promise<string> {
    writeFileSync(join(folder, file), code);
    const project = `tsconfig.${file}.json`;
    const compilerOptions = { ...COMPILER, ...options };
    writeFileSync(join(folder, project), JSON.stringify({ compilerOptions, files: [file] }));
    try {
      return await run(process.execPath, [TSC, '-p', project], folder);
    } catch (error) {
      return String((error as { stdout?: string }).stdout ?? error);
    }
  }

  it('contain license, README, code and types, and no tests', () => {
    expect(packages).toEqual(expect.arrayContaining(['client', 'element', 'producer', 'protocol']));
    for (const name of packages) {
      const files = readdirSync(join(folder, 'node_modules/@humancast', name), { recursive: true }).map(String);
      expect(files).toEqual(expect.arrayContaining(['LICENSE', 'README.md', 'dist/index.js', 'dist/index.d.ts']));
      expect(files.filter((file) => file.includes('.test.'))).toEqual([]);
    }
  });

  it('compile the TypeScript example, and reject a frame that is not bytes', async () => {
    const node = { module: 'nodenext', lib: ['es2024', 'esnext.disposable'], types: ['node'] };
    const example = readFileSync(join(ROOT, 'examples/typescript/speak-frames.ts'), 'utf8');
    expect(await typeErrors('speak-frames.ts', example, node)).toBe('');
    const wrong = example.replace('live.pushVideo(draw(', 'live.pushVideo(String(');
    expect(await typeErrors('wrong.ts', wrong, node)).toContain('TS2345');
  });

  it('compile a page that plays a session', async () => {
    const page = `import { connect, type SessionState } from '@humancast/client';
const video = document.querySelector('video');
if (!video) throw new Error('there is no video element');
const session = connect({ url: 'https://humancast.example', session: 'ses_x', token: 'y', video });
session.on('state', (state: SessionState) => console.log(state));
export const off: () => void = session.on('error', ({ fatal, message }) => fatal && console.log(message));
`;
    const browser = {
      module: 'preserve',
      moduleResolution: 'bundler',
      lib: ['es2024', 'dom', 'dom.iterable'],
      types: [],
    };
    expect(await typeErrors('page.ts', page, browser)).toBe('');
  });

  it('compile a page with the custom element, and reject a property that it does not have', async () => {
    const page = `import '@humancast/element/define';
import type { HumanCastElement, SessionState } from '@humancast/element';
const cast: HumanCastElement = document.createElement('human-cast');
cast.session = 'ses_x';
cast.addEventListener('statechange', ({ detail }) => {
  const state: SessionState | null = detail;
  console.log(state, cast.volume, cast.error?.code);
});
document.body.append(cast);
`;
    const browser = {
      module: 'preserve',
      moduleResolution: 'bundler',
      lib: ['es2024', 'dom', 'dom.iterable'],
      types: [],
    };
    expect(await typeErrors('element.ts', page, browser)).toBe('');
    const wrong = page.replace('cast.session =', 'cast.sesion =');
    expect(await typeErrors('wrong-element.ts', wrong, browser)).toContain('TS2551');
  });

  it('compile the React component', async () => {
    const component = readFileSync(join(ROOT, 'examples/page/human-cast.tsx'), 'utf8');
    const react = {
      module: 'preserve',
      moduleResolution: 'bundler',
      jsx: 'react-jsx',
      lib: ['es2024', 'dom', 'dom.iterable'],
      types: [],
    };
    expect(await typeErrors('human-cast.tsx', component, react)).toBe('');
    const wrong = component.replace('element.controls =', 'element.control =');
    expect(await typeErrors('wrong-react.tsx', wrong, react)).toContain('TS2551');
  });

  it('load every export in Node.js, with types for both module resolutions', async () => {
    const names = packages.flatMap((name) =>
      Object.keys(read(`packages/${name}/package.json`).exports).map((path) => `@humancast/${name}${path.slice(1)}`),
    );
    expect(names).toContain('@humancast/protocol/openapi');
    const code = names.map(
      (name, i) => `import * as part${i} from '${name}';\nexport const names${i} = Object.keys(part${i});`,
    );
    const counts = `console.log(${names.map((_, i) => `names${i}.length > 0`).join(' && ')});`;
    const program = [...code, counts].join('\n');
    expect(await run(process.execPath, ['--input-type=module', '-e', program], folder)).toBe('true\n');
    const [lib, types] = [['es2024', 'esnext.disposable', 'dom', 'dom.iterable'], ['node']];
    for (const resolution of [{ module: 'nodenext' }, { module: 'preserve', moduleResolution: 'bundler' }])
      expect(await typeErrors('all.ts', program, { ...resolution, lib, types })).toBe('');
  });
});
