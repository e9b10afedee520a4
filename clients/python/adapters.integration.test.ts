import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { newId } from '@humancast/shared';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { FakeListen } from '../../packages/producer/testing/fake-listen.js';
import { FakeLoader } from '../../packages/producer/testing/fake-loader.js';

/** How long a Python process may take to start and push its first frames on a busy machine. */
const STARTED = { timeout: 20_000 };
/** The sources, and the fakes of pipecat and livekit. */
const PATHS = ['src', 'testing'].map((folder) => join(import.meta.dirname, folder)).join(delimiter);

let loader: FakeLoader;
let session: string;
/** Requests that were made, and the open stream of the session's events. */
let requests: string[];
const stream: { response?: ServerResponse } = {};
let turn: number;

beforeAll(async () => {
  loader = await FakeLoader.start();
});
afterAll(() => loader.close());
beforeEach(() => {
  session = newId('ses');
  requests = [];
  delete stream.response;
  turn = 0;
  loader.turn = 0;
  loader.keepFrames = true;
  loader.route = (request, response) => {
    requests.push(`${request.method} ${request.url?.replace(`/v1/sessions/${session}`, '')}`);
    if (request.url?.includes('/events')) {
      stream.response = response;
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('retry: 1000\n\n:\n\n');
    } else if (request.url?.endsWith('/interrupt')) {
      interrupted();
      response.writeHead(202).end(JSON.stringify({ interruptedSeq: 1, turn }));
    } else response.end(JSON.stringify({ id: session, turn }));
  };
});

let nextId = 1;
function tell(event: Record<string, unknown>): void {
  stream.response?.write(
    `id: ${nextId}\nevent: x\ndata: ${JSON.stringify({ id: String(nextId++), session, ...event })}\n\n`,
  );
}

/** A session that is interrupted 320 ms into the last push. */
function interrupted(): void {
  turn++;
  loader.turn = turn;
  tell({ type: 'session.interrupted', interruptedSeq: 1, turn });
  loader.last.send({ type: 'interrupted', positionMs: 320 });
  finished('interrupted', 320);
}

function finished(reason: string, positionMs: number): void {
  const { segment } = loader.last;
  tell({ type: 'speech.finished', seq: 1, segment, positionMs, reason, interrupted: reason === 'interrupted' });
}

/** Starts a program with `humancast`, whose output is its lines so far. */
function start(imports: string, body: string, signaling = loader.url) {
  const program = `
import asyncio, os
import numpy as np
${imports}
from humancast import Humancast
async def until(condition):
    while not condition():
        await asyncio.sleep(0.005)
async def main():
    humancast = Humancast(os.environ["HUMANCAST_API_KEY"], "${signaling}", "${loader.url}")
${body.replaceAll(/^/gm, '    ')}
asyncio.run(asyncio.wait_for(main(), 25))
`;
  const child = spawn('/usr/bin/python3', ['-u', '-c', program], {
    cwd: tmpdir(),
    env: {
      PATH: process.env['PATH'],
      HUMANCAST_API_KEY: loader.apiKey,
      PYTHONPATH: PATHS,
      PYTHONDONTWRITEBYTECODE: '1',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { lines: () => output.trim().split('\n'), ended: once(child, 'close').then(() => output.trim().split('\n')) };
}

const bytesOf = (chunks: readonly Buffer[]) => chunks.reduce((sum, { length }) => sum + length, 0);
const frameOf = (push: { frames: readonly Buffer[] }) => [...(push.frames[0] ?? [])].slice(0, 4);

describe('humancast.pipecat', () => {
  const PIPECAT = `import fake_pipecat
from fake_pipecat import *
from humancast.pipecat import HeardFrame, HumancastTransport`;
  const speaking = () => `
params = TransportParams(audio_out_sample_rate=24_000, video_out_width=32, video_out_height=16, video_out_framerate=25)
transport = HumancastTransport(humancast, "${session}", "demo", params)
output = transport.output()
down = FrameDirection.DOWNSTREAM
image = OutputImageRawFrame(bytes([1, 2, 3]) * (32 * 16), (32, 16), "RGB")
audio = OutputAudioRawFrame(np.full(960, 8192, np.int16).tobytes(), 24_000, 1)
async def say(frames):
    for _ in range(frames):
        await output.process_frame(audio, down)
        await output.process_frame(image, down)
def heard():
    return [f"{f.position_ms} {f.interrupted} {d.name}" for f, d in output.pushed if isinstance(f, HeardFrame)]
await output.process_frame(StartFrame(), down)
`;

  it('pushes audio and images of each answer, and tells how much was heard', async () => {
    const program = start(
      PIPECAT,
      `${speaking()}
await output.process_frame(image, down)
for _ in range(2):
    await say(10)
    await output.process_frame(TTSStoppedFrame(), down)
    count = len(heard())
    print("said", flush=True)
    await until(lambda: len(heard()) > count)
print(heard())
await output.process_frame(EndFrame(), down)`,
    );
    const before = loader.pushes.length;
    for (const answer of [1, 2]) {
      await expect.poll(() => program.lines().filter((line) => line === 'said'), STARTED).toHaveLength(answer);
      finished('finished', 400);
    }
    expect((await program.ended).at(-1)).toBe("['400 False UPSTREAM', '400 False UPSTREAM']");
    const pushes = loader.pushes.slice(before);
    expect(pushes.map(({ outcome, breaches, frames }) => [outcome, breaches, frames.length])).toEqual([
      ['end', [], 10],
      ['end', [], 10],
    ]);
    expect(pushes[0]?.start).toMatchObject({
      pixelFormat: 'rgb24',
      width: 32,
      height: 16,
      fps: 25,
      sampleRate: 24_000,
    });
    expect(bytesOf(pushes[0]?.audio ?? [])).toBe(10 * 960 * 4);
    expect(frameOf(pushes[0] as { frames: Buffer[] })).toEqual([1, 2, 3, 1]);
  });

  it('interrupts the session with the pipeline, and speaks in the next turn', async () => {
    const program = start(
      PIPECAT,
      `${speaking()}
await say(10)
await output.process_frame(InterruptionFrame(), down)
await until(heard)
await say(2)
await output.process_frame(TTSStoppedFrame(), down)
print(heard())
await output.process_frame(CancelFrame(), down)`,
    );
    expect((await program.ended).at(-1)).toBe("['320 True UPSTREAM']");
    expect(requests.filter((line) => line.startsWith('POST'))).toEqual(['POST /interrupt']);
    expect(loader.last).toMatchObject({ turn: 1, outcome: 'end' });
  });

  it('interrupts the pipeline when the page interrupts, and pushes nothing of the old answer', async () => {
    const program = start(
      PIPECAT,
      `${speaking()}
await say(5)
print("speaking", flush=True)
interruptions = lambda: [d for f, d in transport.input().pushed if isinstance(f, InterruptionFrame)]
await until(interruptions)
await say(5)
await output.process_frame(InterruptionFrame(), down)
await until(heard)
print(len(interruptions()), heard())
await output.process_frame(CancelFrame(), down)`,
    );
    const before = loader.pushes.length;
    await expect.poll(() => program.lines().at(-1), STARTED).toBe('speaking');
    interrupted();
    expect((await program.ended).at(-1)).toBe("2 ['320 True UPSTREAM']");
    expect(loader.pushes.length).toBe(before + 1);
  });

  it('hears viewers at the rate of the pipeline', async () => {
    const frames = [0, 1].map((frame) => ({ viewer: 'vw_12345678', epoch: 1, frame, atMs: 1000 + 20 * frame }));
    const signaling = await FakeListen.start(frames, 'session_ended');
    try {
      const program = start(
        PIPECAT,
        `
transport = HumancastTransport(humancast, "${session}", "demo", TransportParams(audio_in_sample_rate=24_000))
await transport.input().process_frame(StartFrame(), FrameDirection.DOWNSTREAM)
await until(lambda: len(transport.input().pushed) == 2)
for frame, _ in transport.input().pushed:
    print(frame.transport_source, frame.sample_rate, len(frame.audio))
await transport.input().process_frame(EndFrame(), FrameDirection.DOWNSTREAM)`,
        signaling.url,
      );
      expect(await program.ended).toEqual(['vw_12345678 24000 640', 'vw_12345678 24000 640']);
      expect(signaling.listeners[0]?.path).toBe(`/v1/sessions/${session}/listen?rate=24000`);
    } finally {
      signaling.close();
    }
  });
});

describe('humancast.livekit', () => {
  const LIVEKIT = `import fake_livekit
from fake_livekit import *
from humancast.livekit import HumancastAvatarRunner`;
  /** A generator that makes one gray frame for each 40 ms of audio. */
  const running = () => `
class Generator(VideoGenerator):
    def __init__(self):
        self.queue = asyncio.Queue()
        self.cleared = 0
    async def push_audio(self, frame):
        if not isinstance(frame, AudioSegmentEnd):
            await self.queue.put(VideoFrame(32, 16, "gray", bytes([7]) * (32 * 16)))
        await self.queue.put(frame)
    def clear_buffer(self):
        self.cleared += 1
        while not self.queue.empty():
            self.queue.get_nowait()
    async def __aiter__(self):
        while True:
            yield await self.queue.get()
receiver, generator = AudioReceiver(), Generator()
runner = HumancastAvatarRunner(
    humancast, "${session}", "demo",
    audio_recv=receiver, video_gen=generator, options=AvatarOptions(32, 16, 25, 24_000, 1),
)
await runner.start()
def say(frames, end=True):
    for _ in range(frames):
        receiver.queue.put_nowait(AudioFrame(np.full(960, 8192, np.int16).tobytes(), 24_000, 1, 960))
    if end:
        receiver.queue.put_nowait(AudioSegmentEnd())
`;

  it('pushes what the generator makes of each answer, and reports how much was heard', async () => {
    const program = start(
      LIVEKIT,
      `${running()}
say(10)
await until(lambda: len(receiver.told) == 2)
print(receiver.told)
await runner.aclose()`,
    );
    const before = loader.pushes.length;
    await expect.poll(() => loader.pushes[before]?.outcome, STARTED).toBe('end');
    tell({ type: 'speech.started', seq: 1, segment: loader.last.segment });
    finished('finished', 400);
    expect(await program.ended).toEqual(["[('started',), ('finished', 0.4, False)]"]);
    expect(loader.last).toMatchObject({ breaches: [], start: { pixelFormat: 'rgba', fps: 25, width: 32 } });
    expect(loader.last.frames).toHaveLength(10);
    expect(frameOf(loader.last)).toEqual([7, 7, 7, 255]);
    expect(bytesOf(loader.last.audio)).toBe(10 * 960 * 4);
  });

  it('interrupts the session when the agent clears its buffer, and speaks in the next turn', async () => {
    const program = start(
      LIVEKIT,
      `${running()}
say(10, end=False)
await until(lambda: runner._live is not None)
receiver.clear_buffer()
await until(lambda: len(receiver.told) == 1)
say(5)
await until(lambda: len(receiver.told) == 3)
print(receiver.told, generator.cleared)
await runner.aclose()`,
    );
    const before = loader.pushes.length;
    await expect.poll(() => loader.pushes[before + 1]?.outcome, STARTED).toBe('end');
    expect(loader.last.turn).toBe(1);
    tell({ type: 'speech.started', seq: 2, segment: loader.last.segment });
    finished('finished', 200);
    expect(await program.ended).toEqual(["[('finished', 0.32, True), ('started',), ('finished', 0.2, False)] 1"]);
  });

  it('drops the rest of an answer that a viewer interrupted, and speaks the next one', async () => {
    const program = start(
      LIVEKIT,
      `${running()}
say(5, end=False)
await until(lambda: runner._live is not None)
print("speaking", flush=True)
while not receiver.told:
    say(1, end=False)
    await asyncio.sleep(0.01)
# The rest of the old answer, and the next one.
say(5)
say(3)
await until(lambda: len(receiver.told) == 2)
print(receiver.told)
await runner.aclose()`,
    );
    const before = loader.pushes.length;
    await expect.poll(() => program.lines().at(-1), STARTED).toBe('speaking');
    interrupted();
    await expect.poll(() => loader.pushes[before + 1]?.outcome, STARTED).toBe('end');
    finished('finished', 120);
    expect((await program.ended).at(-1)).toBe("[('finished', 0.32, True), ('finished', 0.12, False)]");
    expect(bytesOf(loader.last.audio)).toBe(3 * 960 * 4);
    expect(requests.filter((line) => line.startsWith('POST'))).toEqual([]);
  });
});

describe('Humancast.events()', () => {
  it('goes on after the last event when the connection is lost, and ends with the session', async () => {
    const program = start(
      '',
      `
async for event in humancast.events("${session}", from_start=True):
    print(event["type"], flush=True)`,
    );
    await expect.poll(() => stream.response !== undefined, STARTED).toBe(true);
    tell({ type: 'speech.started', seq: 1, segment: 'seg_12345678' });
    await expect.poll(() => program.lines().at(-1), STARTED).toBe('speech.started');
    stream.response?.destroy();
    delete stream.response;
    await expect.poll(() => stream.response !== undefined, STARTED).toBe(true);
    const again = stream.response as ServerResponse | undefined;
    expect(again?.req.headers['last-event-id']).toBe(String(nextId - 1));
    tell({ type: 'session.ended', reason: 'deleted' });
    expect(await program.ended).toEqual(['speech.started', 'session.ended']);
    expect(requests).toEqual(['GET /events?from=start', 'GET /events']);
  });
});
