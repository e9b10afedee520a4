import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId } from '@humancast/shared';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { FakeListen } from '../../packages/producer/testing/fake-listen.js';
import { FakeLoader, type Received } from '../../packages/producer/testing/fake-loader.js';

/** How long a Python process may take to start and push its first frames on a busy machine. */
const STARTED = { timeout: 20_000 };
/** Debian's, with python3-numpy, python3-websockets, python3-pip, python3-setuptools and python3-wheel. */
const PYTHON = '/usr/bin/python3';
const SOURCE = join(import.meta.dirname, 'src');
const SPEAK_FRAMES = join(import.meta.dirname, '../../examples/python/speak_frames.py');

let loader: FakeLoader;
let session: string;
beforeAll(async () => {
  loader = await FakeLoader.start();
  session = newId('ses');
});
afterEach(() => {
  loader.keepFrames = false;
  loader.route = (_request, response) => void response.writeHead(404).end();
});
afterAll(() => loader.close());

interface Run {
  code: number | null;
  output: string;
}

/** Runs Python on the client's sources, or on the folder that a test has installed it to. */
async function python(args: readonly string[], pythonPath = SOURCE): Promise<Run> {
  const env = { PATH: process.env['PATH'], HUMANCAST_API_KEY: loader.apiKey, PYTHONPATH: pythonPath };
  const child = spawn(PYTHON, args, {
    cwd: tmpdir(),
    env: { ...env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  // speak_frames.py waits for Enter.
  child.stdin.write('\n');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

const servers = () => ['--loader', loader.url, '--signaling', loader.url];
const speakFrames = (...args: string[]) => python([SPEAK_FRAMES, ...servers(), ...args]);

/** A program around one live push, of 64×32 at 25 fps. */
const push = (body: string, before = '') =>
  python([
    '-c',
    `
import asyncio, os
import numpy as np
from humancast import Humancast, HumancastError
frame = np.full((32, 64, 3), 7, np.uint8)
async def main():
    humancast = Humancast(os.environ["HUMANCAST_API_KEY"], "${loader.url}", "${loader.url}")
    ${before}
    async with humancast.live("demo", "${session}", fps=25, width=64, height=32) as live:
${body.replaceAll(/^/gm, '        ')}
    print(live.result["frames"], live.result["durationMs"], live.in_break, live.interrupted_at_ms)
try:
    asyncio.run(main())
except HumancastError as error:
    print("refused", error.code, error.status)
`,
  ]);

const samplesOf = ({ audio }: Received) => {
  const bytes = Buffer.concat(audio);
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readFloatLE(4 * i));
};

describe('the Python client', () => {
  it('speaks with drawn frames and a voice of the same length, in a session that it makes', async () => {
    loader.keepFrames = true;
    loader.route = (request, response) => {
      const ok = request.method === 'POST' && request.url === '/v1/sessions';
      response.writeHead(ok ? 201 : 404).end(JSON.stringify({ id: session, token: 'secret' }));
    };
    const { code, output } = await speakFrames('--seconds', '1.5');
    expect(output).toContain(`/?session=${session}&token=secret`);
    expect(output).toContain('38 frames');
    expect(code).toBe(0);
    const { start, breaches, frames, session: spokenIn } = loader.last;
    expect(breaches).toEqual([]);
    expect(spokenIn).toBe(session);
    expect(start).toMatchObject({ pixelFormat: 'bgr24', sampleFormat: 'f32', sampleRate: 24_000, interrupt: true });
    const samples = samplesOf(loader.last);
    expect(samples).toHaveLength(38 * 960);
    const peak = samples.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    expect(peak).toBeGreaterThan(0.2);
    expect(peak).toBeLessThan(1);
    expect(new Set(frames.map((frame) => frame.toString('base64'))).size).toBeGreaterThan(20);
  });

  it('makes picture and voice equally long, whichever is shorter', async () => {
    const { output } = await push(`
await live.push_av_segment([frame] * 5, np.ones(960 * 3 - 100, np.float32))
await live.push_av_segment([frame], np.full(960 * 4 - 1, 16384, np.int16))
await live.push_av_segment([frame] * 2, np.zeros(0, np.float32))`);
    expect(output.trim()).toBe('11 440 False None');
    const samples = samplesOf(loader.last);
    expect(samples).toHaveLength(11 * 960);
    expect(samples.slice(0, 2780).every((sample) => sample === 1)).toBe(true);
    expect(samples.slice(2780, 4800).every((sample) => sample === 0)).toBe(true);
    expect(samples[4800]).toBe(0.5);
  });

  it('holds the picture where there is only a voice, so that what comes after stays together', async () => {
    const { output } = await push(`
await live.push_av_segment([frame] * 25, np.zeros(24000, np.float32))
await live.push_av_segment([], np.zeros(24000, np.float32))
await live.keep_alive()
await live.push_av_segment([frame] * 25, np.ones(24000, np.float32))`);
    expect(output.trim()).toBe('75 3000 False None');
    const { held, alive, breaches, audio } = loader.last;
    expect({ held, alive, breaches }).toEqual({ held: 25, alive: 1, breaches: [] });
    expect(Buffer.concat(audio).length).toBe(3 * 24_000 * 4);
  });

  it('aligns what comes after a time with audio or frames alone', async () => {
    const { output } = await push(`
await live.push_av_segment([frame] * 25, np.zeros(24000, np.float32))
await live.push_audio(np.zeros(24000, np.float32))
await live.push_av_segment([frame] * 25, np.ones(24000, np.float32))
await live.push_video(frame)
await live.push_audio(np.zeros(961, np.float32))
await live.align()
await live.fill(4000)
await live.align()`);
    expect(output).not.toContain('Error');
    const { filled, breaches, frameTimesMs, audio } = loader.last;
    expect({ filled, breaches }).toEqual({ filled: [2000, 3080, 4000], breaches: [] });
    expect(frameTimesMs).toHaveLength(51);
    expect(Buffer.concat(audio).length).toBe((3 * 24_000 + 961) * 4);
  });

  it('pushes text with the audio that says it', async () => {
    await push(`
await live.push_av_segment([frame] * 25, np.zeros(24000, np.float32), "one two")
await live.push_text("three", 1500, at_ms=1200)`);
    expect(loader.last.texts).toEqual([
      { text: 'one two', atMs: 0, untilMs: 1000 },
      { text: 'three', atMs: 1200, untilMs: 1500 },
    ]);
  });

  it('states turns, and raises `interrupted` once they are over', async () => {
    const bodies: string[] = [];
    loader.route = (request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => {
        body += chunk;
      });
      request.on('end', () => {
        bodies.push(`${request.url?.split('/').at(-1)} ${body}`);
        response.writeHead(202).end(JSON.stringify({ queued: [], interruptedSeq: 3, turn: 8 }));
      });
    };
    loader.turn = 7;
    const { output } = await push(
      'print(live.turn)',
      `print((await humancast.interrupt("${session}", turn=7))["turn"])
    await humancast.interrupt("${session}")
    await humancast.speak("${session}", ["seg_00000000"], turn=8)
    await humancast.set_state("${session}", "thinking")
    await humancast.send_message("${session}", [1])
    try:
        async with humancast.live("demo", "${session}", turn=6, fps=25, width=64, height=32):
            pass
    except HumancastError as error:
        print(error.code)`,
    );
    loader.turn = 0;
    expect(output.split('\n').slice(0, 3)).toEqual(['8', 'interrupted', '7']);
    expect(bodies).toEqual([
      'interrupt {"turn": 7}',
      'interrupt ',
      'speak {"segments": ["seg_00000000"], "interrupt": false, "turn": 8}',
      'state {"state": "thinking"}',
      'messages {"data": [1]}',
    ]);
  });

  it('stays in sync over frame rates that samples can not be divided by', async () => {
    const { output } = await python([
      '-c',
      `
import asyncio, os
import numpy as np
from humancast import Humancast
async def main():
    humancast = Humancast(os.environ["HUMANCAST_API_KEY"], loader_url="${loader.url}")
    async with humancast.live("demo", fps=29.97, width=64, height=32, sample_rate=22050) as live:
        for _ in range(50):
            await live.push_av_segment([np.zeros((32, 64, 3), np.uint8)] * 3, np.zeros(0))
asyncio.run(main())
`,
    ]);
    expect(output).toBe('');
    expect(samplesOf(loader.last)).toHaveLength(Math.round((150 * 22_050) / 29.97));
  });

  it('stops when nobody listens any more, and knows how much was heard', async () => {
    const running = push(`
while await live.push_av_segment([frame] * 5, np.zeros(4800, np.float32)):
    await asyncio.sleep(0.01)`);
    const { length } = loader.pushes;
    await expect.poll(() => loader.pushes[length]?.frameTimesMs.length ?? 0, STARTED).toBeGreaterThan(5);
    loader.last.send({ type: 'interrupted', positionMs: 321.5 });
    expect((await running).output).toMatch(/True 321\.5/);
    expect(loader.last.outcome).toBe('end');
  });

  it('cuts the segment off when the model fails', async () => {
    const { output } = await push(`
await live.push_video(frame)
raise ValueError("out of memory")`);
    expect(output).toContain('out of memory');
    expect(loader.last.outcome).toBe('gone');
  });

  it('refuses a frame that is not what the header says', async () => {
    const { output } = await push('await live.push_video(frame[:16])');
    expect(output).toContain('ValueError');
    expect(loader.last.breaches).toEqual([]);
  });

  it('raises the loader’s reason, before and while it pushes', async () => {
    loader.rejection = 'avatar_not_found';
    expect((await push('pass')).output.trim()).toBe('refused refused 404');
    const running = push(`
while True:
    await live.push_video(frame)
    await asyncio.sleep(0.01)`);
    const { length } = loader.pushes;
    await expect.poll(() => loader.pushes[length]?.frameTimesMs.length ?? 0, STARTED).toBeGreaterThan(0);
    loader.last.reject('session_ended', 'the session has ended');
    expect((await running).output.trim()).toBe('refused session_ended None');
  });

  it('raises what signaling refuses, and that nobody answers', async () => {
    loader.route = (_request, response) =>
      response.writeHead(404).end(JSON.stringify({ code: 'avatar_not_found', detail: 'no' }));
    const refused = await push('pass', 'await humancast.create_session("nobody")');
    expect(refused.output.trim()).toBe('refused avatar_not_found 404');
    const nobody = await python([SPEAK_FRAMES, '--signaling', 'http://127.0.0.1:9']);
    expect(nobody).toMatchObject({ code: 1, output: expect.stringContaining('unreachable') });
  });

  it('installs with pip, without an index, as a typed package of its own', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'humancast-pip-'));
    try {
      // setuptools builds beside the sources.
      cpSync(import.meta.dirname, join(folder, 'client'), { recursive: true });
      const installed = join(folder, 'installed');
      const offline = ['--no-index', '--no-build-isolation', '--no-deps', '--disable-pip-version-check'];
      const pip = ['-m', 'pip', 'install', '--quiet', ...offline, '--target', installed, join(folder, 'client')];
      expect(await python(pip, '')).toMatchObject({ code: 0 });
      expect(existsSync(join(installed, 'humancast/py.typed'))).toBe(true);
      const program = 'import humancast; print(humancast.__file__, "Humancast" in humancast.__all__)';
      const { output } = await python(['-c', program], installed);
      expect(output.trim()).toBe(`${installed}/humancast/__init__.py True`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});

describe('listen()', () => {
  it('yields headers and PCM, and returns when the session has ended', async () => {
    const frames = [0, 1].map((frame) => ({ viewer: 'vw_12345678', epoch: 1, frame, atMs: 1000.5 + 20 * frame }));
    const signaling = await FakeListen.start(frames, 'session_ended');
    try {
      const program = `
import asyncio, os
from humancast import Humancast
async def main():
    humancast = Humancast(os.environ["HUMANCAST_API_KEY"], "${signaling.url}", "${signaling.url}")
    async for heard, pcm in humancast.listen("${session}"):
        print(heard["viewer"], heard["frame"], heard["atMs"], pcm.dtype, len(pcm), int(pcm.sum()))
    print("ended")
asyncio.run(main())
`;
      expect(await python(['-c', program])).toEqual({
        code: 0,
        output: 'vw_12345678 0 1000.5 int16 320 -320\nvw_12345678 1 1020.5 int16 320 0\nended\n',
      });
      expect(signaling.listeners[0]).toMatchObject({ path: `/v1/sessions/${session}/listen?rate=16000` });
    } finally {
      signaling.close();
    }
  });
});
