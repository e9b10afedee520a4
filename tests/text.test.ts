import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LivePush } from '@humancast/producer';
import { bgrFrame, makeTestClip, type PastEvent, type Producer, ViewerPage, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

const SIZE = { width: 320, height: 240 };
const FRAME = Buffer.from(bgrFrame(SIZE.width, SIZE.height, [0, 180, 0]));
const WORDS = ['one two', 'three four', 'five six', 'seven eight', 'nine ten'];
const VTT = 'WEBVTT\n\n00:00.200 --> 00:00.900\nHello <b>there</b>\n\n00:01.000 --> 00:01.800\nGoodbye\n';

/** Text belongs to segments, and is told as it is heard. */
describe('text', () => {
  let scene: Scene;
  let producer: Producer;
  let session: { id: string; token: string };

  beforeAll(async () => {
    scene = await Scene.start();
    ({ producer } = scene);
    session = await producer.createSession('lights');
    const page = await scene.newPage();
    // What the page hears from signaling.
    page.on('websocket', (socket) =>
      socket.on('framereceived', ({ payload }) => {
        const message = JSON.parse(String(payload));
        if (message.type === 'event' && message.event.type === 'speech.text') seen.push(message.event.text);
      }),
    );
    const viewer = await ViewerPage.open(page, producer.signaling(`/?session=${session.id}&token=${session.token}`));
    await viewer.playing();
  });

  afterAll(() => scene?.stop());

  const seen: string[] = [];
  /** Without `playback.held`, which a push that is late on a busy machine causes at any time. */
  const speech = async (segment: string): Promise<PastEvent[]> =>
    (await producer.pastEvents(session.id)).filter(
      (event) => event['segment'] === segment && event.type.startsWith('speech.'),
    );

  /** Pushes a second of media for each piece of text, at the pace of a model that is ahead by as much. */
  async function say(push: LivePush, words: readonly string[]): Promise<void> {
    for (const [index, text] of words.entries()) {
      await push.pushText(text, { untilMs: 1000 * (index + 1) });
      for (let frame = 0; frame < 25; frame++) {
        await push.pushAudio(new Int16Array(960).fill(3000));
        await push.pushVideo(FRAME);
      }
    }
  }
  const open = () => producer.live({ avatar: 'lights', session: session.id, fps: 25, ...SIZE, pixelFormat: 'bgr24' });

  it('of a live push is told as it is heard, to producers and to the page', async () => {
    const push = await open();
    await say(push, WORDS.slice(0, 2));
    await push.end();
    const events = await waitFor(
      'its end',
      () => speech(push.segment),
      (all) => all.some(({ type }) => type === 'speech.finished'),
    );
    expect(events.map(({ type, text }) => [type, text])).toEqual([
      ['speech.started', undefined],
      ['speech.text', 'one two'],
      ['speech.text', 'three four'],
      ['speech.finished', 'one two three four'],
    ]);
    await waitFor('the page', () => seen.length === 2);
    expect(seen).toEqual(['one two', 'three four']);
    expect((await producer.segment(push.segment)).text).toMatchObject([
      { text: 'one two', atMs: 0, untilMs: 1000 },
      {},
    ]);
  });

  it('that was not heard is not in the end of an interrupted speech', async () => {
    const push = await open();
    await say(push, WORDS);
    await waitFor(
      'the third piece',
      () => speech(push.segment),
      (all) => all.some(({ text }) => text === 'five six'),
    );
    await producer.interrupt(session.id);
    const events = await waitFor(
      'its end',
      () => speech(push.segment),
      (all) => all.some(({ type }) => type === 'speech.finished'),
    );
    const { positionMs, text } = events.find(({ type }) => type === 'speech.finished') ?? {};
    const words = WORDS.join(' ').split(' ');
    expect(text).toBe(words.slice(0, Math.floor(Number(positionMs) / 500)).join(' '));
    push.cancel();
  });

  it('of an upload is WebVTT', async () => {
    const path = join(scene.stack.mediaDir, 'clip.mp4');
    makeTestClip(path, { color: 'green', seconds: 2 });
    const file = new Blob([readFileSync(path)]);
    const bad = producer.uploadSegment('lights', file, { name: 'bad.mp4', text: 'Hello' });
    await expect(bad).rejects.toMatchObject({ code: 'text_unreadable', extra: { line: 1 } });
    const segment = await producer.uploadSegment('lights', file, { name: 'clip.mp4', text: VTT });
    expect(segment.text).toEqual([
      { text: 'Hello there', atMs: 200, untilMs: 900 },
      { text: 'Goodbye', atMs: 1000, untilMs: 1800 },
    ]);
    await producer.speak(session.id, [segment.id]);
    const events = await waitFor(
      'its end',
      () => speech(segment.id),
      (all) => all.some(({ type }) => type === 'speech.finished'),
    );
    expect(events.map(({ text }) => text)).toEqual([undefined, 'Hello there', 'Goodbye', 'Hello there Goodbye']);
  });
});
