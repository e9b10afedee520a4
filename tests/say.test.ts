import type { ProducerError } from '@humancast/producer';
import {
  type AudioMeter,
  type PastEvent,
  Producer,
  startAudioMeter,
  ViewerPage,
  waitFor,
  watchMouth,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

const LONG_TEXT =
  'This is a long sentence, and it goes on for a while. Nobody has to listen to all of it. Just begin to type, and it ends.';

/** From a text typed into the console to audible speech and a moving mouth, with every real part. */
describe('typed text', () => {
  let scene: Scene;
  let producer: Producer;
  let viewer: ViewerPage;
  let session: string;
  let audioMeter: AudioMeter;

  beforeAll(async () => {
    scene = await Scene.startDemo();
    ({ producer } = scene);
    viewer = await scene.open('/?avatar=demo');
    await viewer.playing();
    const { sessions } = await producer.json<{ sessions: { id: string }[] }>('GET', producer.signaling('/v1/sessions'));
    session = sessions[0]?.id ?? '';
    audioMeter = await startAudioMeter(viewer.page);
  });

  afterAll(() => scene?.stop());

  const box = () => viewer.page.getByRole('textbox');
  const say = async (text: string) => {
    await box().fill(text);
    await box().press('Enter');
  };
  const speech = async (): Promise<PastEvent[]> =>
    (await producer.pastEvents(session)).filter(({ type }) => type === 'speech.started' || type === 'speech.finished');
  const speaking = () =>
    waitFor(
      'speech',
      () => audioMeter.level(),
      (level) => level > 0.02,
    );
  const silent = () =>
    waitFor(
      'silence',
      () => audioMeter.quietMs(),
      (ms) => ms > 700,
    );

  it('is spoken, and the mouth opens with it and is shut again', async () => {
    const atRest = await watchMouth(viewer.page, 700);
    const isOpen = (darkest: number) => darkest < atRest - 15;
    await say('Hello! I am here, and I say whatever you type.');
    await speaking();
    await waitFor('the mouth opens', () => watchMouth(viewer.page, 100), isOpen);
    await waitFor(
      'the mouth is shut again',
      () => watchMouth(viewer.page, 300),
      (darkest) => !isOpen(darkest),
    );
    const [started, finished, ...more] = await waitFor('its end', speech, ({ length }) => length >= 2);
    expect(more).toEqual([]);
    expect(started).toMatchObject({ type: 'speech.started' });
    expect(finished).toMatchObject({ type: 'speech.finished', reason: 'finished', segment: started?.['segment'] });
    expect(finished).toMatchObject({ text: 'Hello! I am here, and I say whatever you type.' });
  });

  it('has captions, sentence by sentence, while it is heard', async () => {
    const captions = viewer.page.getByRole('log', { name: 'Captions' });
    await say('This is the first sentence. And here comes another one.');
    await captions.getByText('This is the first sentence.', { exact: true }).waitFor();
    await captions.getByText('And here comes another one.', { exact: true }).waitFor();
    await captions.waitFor({ state: 'hidden' });
    await waitFor('its end', speech, ({ length }) => length >= 4);
  });

  it('leaves no segment behind', async () => {
    await waitFor(
      'the segment is removed',
      () => producer.json<{ segments: { name: string }[] }>('GET', `${scene.stack.loaderUrl}/v1/segments?avatar=demo`),
      ({ segments }) => segments.every(({ name }) => name !== 'Typed text'),
    );
  });

  it('is interrupted by the first key of the next one, which is then spoken', async () => {
    await say(LONG_TEXT);
    await speaking();
    await box().pressSequentially('W');
    await silent();
    const [, , , , , cut] = await speech();
    expect(cut).toMatchObject({ type: 'speech.finished', reason: 'interrupted' });
    expect(cut?.['positionMs']).toBeLessThan(5000);
    const heard = String(cut?.['text']);
    expect(LONG_TEXT.startsWith(heard) && heard.length < LONG_TEXT.length, heard).toBe(true);
    await say('What did you say?');
    await speaking();
    const last = await waitFor('its end', speech, ({ length }) => length >= 8);
    expect(last.at(-1)).toMatchObject({ type: 'speech.finished', reason: 'finished' });
  });

  it('replaces the one before if a backend sends it with `interrupt`', async () => {
    const path = producer.signaling(`/v1/sessions/${session}/say`);
    await producer.json('POST', path, { text: LONG_TEXT });
    await speaking();
    const before = (await speech()).length;
    const said = await producer.json<{ segment: string }>('POST', path, { text: 'Enough.', interrupt: true });
    const events = await waitFor(
      'the second text is finished',
      async () => (await speech()).slice(before),
      (all) => all.some(({ type, segment }) => type === 'speech.finished' && segment === said.segment),
    );
    expect(events.map(({ type, reason }) => [type, reason])).toEqual([
      ['speech.finished', 'interrupted'],
      ['speech.started', undefined],
      ['speech.finished', 'finished'],
    ]);
  });

  it('and the one that waits behind it are dropped by an interruption', async () => {
    const before = (await speech()).length;
    await producer.say(session, LONG_TEXT);
    await speaking();
    expect(await producer.say(session, 'This waits until the first one is over.')).toMatchObject({ ahead: 1 });
    const { turn } = await producer.interrupt(session);
    await silent();
    // What is said afterwards comes after anything that would have been spoken before it.
    expect(await producer.say(session, 'And now this.')).toMatchObject({ turn });
    const events = await waitFor(
      'the last text is finished',
      async () => (await speech()).slice(before),
      (all) => all.some(({ reason }) => reason === 'finished'),
    );
    expect(events.map(({ type, reason }) => [type, reason])).toEqual([
      ['speech.started', undefined],
      ['speech.finished', 'interrupted'],
      ['speech.started', undefined],
      ['speech.finished', 'finished'],
    ]);
  });

  it.each(['accepted', 'on its way'])(
    'is not spoken if it is interrupted before its first sound (%s)',
    async (when) => {
      const before = (await speech()).length;
      const { turn } = await producer.session(session);
      const saying = producer.say(session, LONG_TEXT, { turn }).catch((error: ProducerError) => error.code);
      if (when === 'accepted') await saying;
      await producer.interrupt(session);
      expect(['interrupted', expect.objectContaining({ turn })]).toContainEqual(await saying);
      const late = producer.say(session, LONG_TEXT, { turn });
      await expect(late).rejects.toMatchObject({ code: 'interrupted', extra: { turn: turn + 1 } });
      const { segment } = await producer.say(session, 'And now this.');
      const events = await waitFor(
        'the last text is finished',
        async () => (await speech()).slice(before),
        (all) => all.some(({ type, ...event }) => type === 'speech.finished' && event['segment'] === segment),
      );
      for (const event of events.filter(({ segment: other }) => other !== segment)) {
        expect(event['reason']).not.toBe('finished');
        if (event.type === 'speech.finished') expect(event.positionMs).toBeLessThan(3000);
      }
      expect(events.at(-1)).toMatchObject({ segment, reason: 'finished' });
    },
  );

  it('ends with its session', async () => {
    await producer.json('POST', producer.signaling(`/v1/sessions/${session}/say`), { text: LONG_TEXT });
    await speaking();
    await producer.endSession(session);
    await waitFor(
      'the demo producer has nothing to do',
      async () => scene.demoProducer.log().filter(({ msg }) => msg === 'text finished').length,
      (count) => count > 0,
    );
    await viewer.page.getByRole('alert').getByText('This conversation is over').waitFor();
  });
});
