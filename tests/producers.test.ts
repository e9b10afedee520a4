import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Producer, type Stack, startAudioMeter, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const PYTHON = '/usr/bin/python3';
const SIGNALING = 'http://127.0.0.1:8080';
const LOADER = 'http://127.0.0.1:8081';

/** Runs the examples and the guides against the whole stack. */
describe('guides for producers', () => {
  let scene: Scene;
  let stack: Stack;
  let producer: Producer;
  /** A working directory as the guides assume it: media, packages, and the key that `npm start` creates. */
  let folder: string;

  beforeAll(async () => {
    scene = await Scene.startDemo();
    ({ stack, producer } = scene);
    folder = mkdtempSync(join(tmpdir(), 'humancast-guide-'));
    for (const name of ['media', 'node_modules']) symlinkSync(join(ROOT, name), join(folder, name));
    mkdirSync(join(folder, '.humancast'));
    writeFileSync(join(folder, '.humancast/api-key'), `${stack.apiKey}\n`);
  });

  afterAll(async () => {
    await scene?.stop();
    if (folder) rmSync(folder, { recursive: true, force: true });
  });

  /** @returns the code of one language in a guide, in order, with this stack's addresses. */
  function code(guide: string, language: string): string[] {
    const text = readFileSync(join(ROOT, 'docs', guide), 'utf8');
    const blocks = [...text.matchAll(new RegExp(`\`\`\`${language}\\n(.*?)\`\`\``, 'gs'))].map(
      ([, block]) => block ?? '',
    );
    expect(blocks.length).toBeGreaterThan(0);
    return blocks.map((block) =>
      block
        .replaceAll(SIGNALING, stack.signalingUrl)
        .replaceAll(LOADER, stack.loaderUrl)
        .replaceAll('ws://127.0.0.1:8081', stack.loaderUrl.replace('http', 'ws'))
        .replace('Humancast(os.environ["HUMANCAST_API_KEY"]', `$&, "${stack.signalingUrl}", "${stack.loaderUrl}"`)
        .replace('new Humancast({', `$& signalingUrl: '${stack.signalingUrl}', loaderUrl: '${stack.loaderUrl}',`),
    );
  }

  async function run(program: string, ...args: string[]): Promise<string> {
    const env = {
      PATH: process.env['PATH'],
      HUMANCAST_API_KEY: stack.apiKey,
      SIGNALING_URL: stack.signalingUrl,
      LOADER_URL: stack.loaderUrl,
      PYTHONPATH: join(ROOT, 'clients/python/src'),
      PYTHONDONTWRITEBYTECODE: '1',
    };
    const running = promisify(execFile)(program, args, { cwd: folder, env, timeout: 60_000 });
    // The quickstart's program waits for Enter.
    running.child.stdin?.end('\n');
    return (await running).stdout;
  }

  it('every shell command of the guide works', async () => {
    const output = await run('bash', '-euo', 'pipefail', '-c', code('producers.md', 'sh').join('\n'));
    expect(output).toContain('"renditions"');
    expect(output).toMatch(/"queued":\[\{"seq":1,"segment":"seg_/);
    // The session has no viewer, hence no host, and no events.
    expect(output).toContain('retry: ');
    expect(output).toMatch(/"ahead":0/);
  });

  it('the Python code of the guides works', async () => {
    const [client = '', bare = ''] = code('producers.md', 'python');
    expect(await run(PYTHON, '-c', client)).toMatch(/'durationMs': 2000(\.0)?, 'frames': 50} None/);
    const messages = (await run(PYTHON, '-c', bare))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(messages[0]).toMatchObject({ type: 'ready' });
    expect(messages.at(-1)).toMatchObject({ type: 'done', frames: 25, durationMs: 1000 });
    for (const example of code('from-aiortc.md', 'python')) await run(PYTHON, '-c', example);
  });

  it('the program of the quickstart pushes all of its frames', async () => {
    const output = await run(PYTHON, '-c', code('quickstart.md', 'python').join('\n'));
    expect(output).toContain(`${stack.signalingUrl}/?session=ses_`);
    expect(output).toMatch(/interrupted at None {2}\{'segment': 'seg_\S+', 'durationMs': 8000(\.0)?, 'frames': 200}/);
  });

  it('the TypeScript code of the guide works', async () => {
    writeFileSync(join(folder, 'guide.ts'), code('producers.md', 'ts').join('\n'));
    expect(await run(process.execPath, 'guide.ts')).toMatch(/durationMs: 2000, frames: 60 } undefined/);
  });

  it('the TypeScript example pushes all of its frames', async () => {
    const { id } = await producer.createSession('demo');
    const output = await run(process.execPath, join(ROOT, 'examples/typescript/speak-frames.ts'), id);
    expect(output).toMatch(/^seg_\S+: 200 frames, 8000 ms\n$/);
  });

  it('a push from Python plays in the page, and stops when it is interrupted', async () => {
    const session = await producer.createSession('demo');
    const viewer = await scene.watch(session);
    const audioMeter = await startAudioMeter(viewer.page);
    const servers = ['--signaling', stack.signalingUrl, '--loader', stack.loaderUrl];
    const speaking = run(PYTHON, join(ROOT, 'examples/python/speak_frames.py'), '--session', session.id, ...servers);
    await waitFor(
      'speech',
      () => audioMeter.level(),
      (level) => level > 0.02,
    );
    // The drawn background is paler and bluer than the idle clip's.
    await waitFor(
      'its video',
      () => viewer.see(),
      ({ red, blue }) => blue > 150 && red > 150,
    );
    await producer.interrupt(session.id);
    const output = await speaking;
    expect(output).toMatch(/interrupted after \d+ ms/);
    const finished = (await producer.pastEvents(session.id)).find(({ type }) => type === 'speech.finished');
    expect(finished).toMatchObject({ reason: 'interrupted' });
    expect(output).toContain(`interrupted after ${Math.round(Number(finished?.['positionMs']))} ms`);
    await viewer.page.close();
  });
});
