import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SPEECH_SAMPLE_RATE, speak } from '@humancast/demo-face';
import { StandIn } from '@humancast/realtime-agent';
import { type AudioMeter, type PastEvent, startAudioMeter, waitFor } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

const AGENT = fileURLToPath(new URL('../scripts/agent.mjs', import.meta.url));
const KEY = 'a-key-that-must-not-be-shown';
/** A second of silence, the question, and silence for longer than the test. */
const BEFORE_SECONDS = 1;
const AFTER_SECONDS = 90;

/** The stand-in's answers, by how long it has heard somebody. */
const INTRODUCTION =
  'I only stand in for a language model, so that you can try a conversation without a key. I do not understand words, but I ' +
  'hear that you speak, and I notice when you interrupt me.';

/** `npm run agent` beside a stack, its model a stand-in whose history the test can read. */
describe('npm run agent', () => {
  let folder: string;
  let scene: Scene;
  let standIn: StandIn;
  let agent: ChildProcess;
  let output = '';
  let session: string;
  let page: Page;
  let audio: AudioMeter;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'humancast-agent-'));
    const file = join(folder, 'question.wav');
    await writeQuestion(file);
    scene = await Scene.startDemo({}, [
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-audio-capture=${file}%noloop`,
    ]);
    standIn = await StandIn.start({ key: KEY });
    agent = startAgent(scene, ['--openai'], { OPENAI_API_KEY: KEY, REALTIME_URL: standIn.url });
    for (const stream of [agent.stdout, agent.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    const url = await waitFor(
      'the address of the page',
      () => /http:\S+session=\S+/.exec(output)?.[0],
      undefined,
      60_000,
    );
    session = new URL(url).searchParams.get('session') ?? '';
    page = (await scene.watch({ id: session, token: new URL(url).searchParams.get('token') ?? '' })).page;
    audio = await startAudioMeter(page);
  });

  afterAll(async () => {
    if (agent?.exitCode === null) {
      agent.kill('SIGKILL');
      await once(agent, 'exit');
    }
    standIn?.close();
    await scene?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const events = async (...types: string[]): Promise<PastEvent[]> =>
    (await scene.producer.pastEvents(session)).filter(({ type }) => types.includes(type));
  /** Opens the microphone, whose file begins anew each time. */
  const speakUp = async () => {
    const cast = page.locator('human-cast');
    await cast.evaluate((element) => element.removeAttribute('mic'));
    await cast.evaluate((element) => element.setAttribute('mic', ''));
    await page.getByRole('button', { name: 'Microphone', pressed: false }).click();
  };
  const caption = () => page.locator('[part=captions]').textContent();

  it('listens to a question, thinks, and answers it', async () => {
    await speakUp();
    await waitFor(
      'an answer',
      () => audio.level(),
      (level) => level > 0.02,
    );
    const states = await events('session.state', 'speech.started');
    expect(states.map(({ type, state }) => state ?? type).slice(0, 3)).toEqual(['listening', 'thinking', 'idle']);
    expect(states.some(({ type }) => type === 'speech.started')).toBe(true);
    expect(await scene.producer.session(session)).toMatchObject({ turn: 0 });
  });

  it('is interrupted by the viewer’s voice, and the model remembers the words that were heard', async () => {
    await waitFor(
      'some words',
      () => scene.producer.session(session),
      // Not those of an idle clip
      ({ playhead }) => playhead?.role === 'speech' && playhead.positionMs > 2500,
      60_000,
    );
    await waitFor('captions', caption, (text) => !!text && INTRODUCTION.includes(text));
    await speakUp();
    const [cut] = await waitFor(
      'the interruption',
      () => events('speech.finished'),
      ({ length }) => length > 0,
    );
    expect(cut).toMatchObject({ reason: 'interrupted' });
    const [, answer] = await waitFor(
      'the model',
      () => standIn.histories[0] ?? [],
      (items) => items[1]?.wasCut === true,
    );
    const [, count = '2'] = /^You have spoken for (one|\d+)/.exec(answer?.text ?? '') ?? [];
    const begin = `You have spoken for ${count} ${count === 'one' ? 'second' : 'seconds'}.`;
    const heard = await wordsHeard(`${begin} ${INTRODUCTION}`, Number(cut?.['positionMs']));
    expect(answer).toMatchObject({ role: 'assistant', text: heard });
    expect(heard).toContain('You have');
    expect(heard.length).toBeLessThan(INTRODUCTION.length);
    // The same by the session, which knows no times of single words.
    expect(cut?.['text']).toMatch(/^You have spoken/);
    expect(`${begin} ${INTRODUCTION}`.startsWith(String(cut?.['text']))).toBe(true);
  });

  it('answers again, in the next turn, and says nothing of the old answer', async () => {
    const started = await waitFor(
      'the second answer',
      () => events('speech.started'),
      ({ length }) => length > 1,
      60_000,
    );
    const [, first, , second] = await waitFor(
      'its words',
      () => standIn.histories[0] ?? [],
      (items) => (items[3]?.text ?? '').includes('heard the rest'),
      60_000,
    );
    expect(second?.text).toContain(`When you interrupted me, I had said: ${first?.text.replace(/[,;:.]$/, '')}`);
    expect(await scene.producer.session(session)).toMatchObject({ turn: 1 });
    const finished = await events('speech.finished');
    expect(started).toHaveLength(2);
    expect(finished.map(({ segment }) => segment)).toEqual([started[0]?.['segment']]);
  });

  it('ends its session on SIGTERM, and has shown no key', async () => {
    agent.kill('SIGTERM');
    expect(await once(agent, 'exit')).toEqual([0, null]);
    await waitFor(
      'the end',
      () => events('session.ended'),
      ({ length }) => length === 1,
    );
    expect(output).not.toContain(KEY);
    expect(output).not.toContain(scene.stack.apiKey);
  });
});

/** @returns The words whose last sound had been heard at a position in the answer, as espeak-ng says them. */
async function wordsHeard(text: string, positionMs: number): Promise<string> {
  let startMs = 0;
  const heard: string[] = [];
  for (const sentence of text.split(/(?<=[.!?])\s+/)) {
    const { pcm, words } = await speak(sentence);
    heard.push(...words.filter((word) => startMs + 1000 * word.endSeconds <= positionMs).map((word) => word.text));
    startMs += (1000 * pcm.length) / SPEECH_SAMPLE_RATE + 250;
  }
  return heard.join(' ');
}

async function writeQuestion(path: string): Promise<void> {
  const { pcm } = await speak('Hello! Can you tell me who you are?', { voice: 'en-us' });
  const samples = new Int16Array(pcm.length + (BEFORE_SECONDS + AFTER_SECONDS) * SPEECH_SAMPLE_RATE);
  samples.set(pcm, BEFORE_SECONDS * SPEECH_SAMPLE_RATE);
  const header = Buffer.alloc(44);
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + samples.byteLength, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20);
  header.writeUInt16LE(1, 22);
  header.writeUInt32LE(SPEECH_SAMPLE_RATE, 24);
  header.writeUInt32LE(2 * SPEECH_SAMPLE_RATE, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(samples.byteLength, 40);
  writeFileSync(path, Buffer.concat([header, Buffer.from(samples.buffer)]));
}

function startAgent(scene: Scene, args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  return spawn(process.execPath, [AGENT, ...args], {
    env: {
      PATH: process.env['PATH'],
      HUMANCAST_API_KEY: scene.stack.apiKey,
      SIGNALING_PORT: new URL(scene.stack.signalingUrl).port,
      LOADER_PORT: new URL(scene.stack.loaderUrl).port,
      LOG_LEVEL: 'debug',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
