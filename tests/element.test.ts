import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeTestClip, ownAddress, Producer, type Stack, startStack, waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { ForeignSite } from './support/foreign-site.ts';

/** A page of another origin, as its author writes it. */
const pageOf = (humancast: string, { id, token }: { id: string; token: string }, attributes: string) => `<!doctype html>
<title>A page of another origin</title>
<script type="module" src="${humancast}/element.js"></script>
<style>human-cast { width: 640px }</style>
<human-cast src="${humancast}" session="${id}" token="${token}" ${attributes}></human-cast>
`;

const VTT = 'WEBVTT\n\n00:00.000 --> 00:30.000\nHello <i>from</i> another origin\n';

/** Evaluations by a test count as a person's clicks, so that audio would be on, depending on when they come. */
const NOBODY_CLICKED = `Object.defineProperty(Navigator.prototype, 'userActivation', { value: { hasBeenActive: false } })`;

describe('<human-cast> on a page of another origin', () => {
  let stack: Stack;
  let producer: Producer;
  let site: ForeignSite;
  let segment: string;

  beforeAll(async () => {
    site = await ForeignSite.open();
    const env = { ALLOWED_ORIGINS: site.origin, EMBED_ANCESTORS: site.origin };
    stack = await startStack({ senders: 2, mediaAddress: ownAddress(), env });
    producer = new Producer(stack);
    makeTestClip(join(stack.mediaDir, 'lights/idle/red.mp4'), { color: 'red', seconds: 2, size: '640x360' });
    const clip = join(stack.mediaDir, 'green.mp4');
    makeTestClip(clip, { color: 'green', seconds: 30, size: '640x360' });
    await site.launchBrowsers({ microphone: true });
    await producer.idleLoaded('lights');
    const file = new Blob([readFileSync(clip)]);
    segment = (await producer.uploadSegment('lights', file, { name: 'green.mp4', text: VTT })).id;
  });

  afterAll(async () => {
    await site?.close();
    await stack?.stop();
  });

  it.each(['Chromium', 'Firefox'] as const)(
    'shows a poster, plays, speaks with captions and is interrupted in %s',
    async (name) => {
      const session = await producer.createSession('lights');
      site.html = pageOf(stack.signalingUrl, session, 'captions controls');
      const viewer = await site.newPage(name);
      await viewer.addInitScript(NOBODY_CLICKED);
      await viewer.goto(site.origin);
      const read = <T>(expression: string) =>
        viewer.evaluate<T>(`(() => {
      const cast = document.querySelector('human-cast');
      return ${expression};
    })()`);
      await waitFor(
        'the poster',
        () => read(`cast.shadowRoot.querySelector('img').naturalWidth`),
        (width) => width === 640,
      );
      await waitFor(
        'video plays',
        () => read(`cast.state`),
        (state) => state === 'playing',
      );
      expect(await read(`[cast.videoWidth, cast.videoHeight, cast.clientHeight, cast.muted]`)).toEqual([
        640,
        360,
        360,
        true,
      ]);
      await read(`(cast.shadowRoot.querySelector('[part~=unmute]').click(), true)`);
      await waitFor(
        'sound is on',
        () => read(`cast.muted`),
        (muted) => muted === false,
      );
      await producer.speak(session.id, [segment]);
      await waitFor(
        'it speaks',
        () => read(`cast.matches(':state(speaking)')`),
        (speaking) => speaking === true,
      );
      const caption = `cast.shadowRoot.querySelector('[part~=captions]')?.textContent`;
      await waitFor(
        'its captions',
        () => read(caption),
        (text) => text === 'Hello from another origin',
      );
      const audible = `cast.shadowRoot.querySelector('video').srcObject.getAudioTracks().some((track) => track.enabled)`;
      expect(await read(`[cast.interrupt(), ${audible}]`)).toEqual([true, false]);
      await waitFor(
        'it is idle and audible again',
        () => read<[boolean, boolean]>(`[cast.speaking, ${audible}]`),
        ([speaking, sound]) => !speaking && sound === true,
      );
      expect(await read(caption)).toBe('');
      await viewer.close();
    },
  );

  it.each(['Chromium', 'Firefox'] as const)('sends what the viewer says, until it is muted, in %s', async (name) => {
    const { id, microphoneToken: token } = await producer.json<{ id: string; microphoneToken: string }>(
      'POST',
      producer.signaling('/v1/sessions'),
      { avatar: 'lights', microphone: true },
    );
    const stop = new AbortController();
    onTestFinished(() => stop.abort());
    /** The loudest sample of each frame that was heard. */
    const peaks: number[] = [];
    const listen = async () => {
      for await (const { pcm } of producer.listen(id, { signal: stop.signal })) {
        peaks.push(pcm.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0));
      }
    };
    // It ends with the test, or else nothing is heard any more.
    listen().catch(() => {});
    site.html = pageOf(stack.signalingUrl, { id, token }, 'mic');
    const viewer = await site.newPage(name);
    await viewer.goto(site.origin);
    const button = `document.querySelector('human-cast').shadowRoot.querySelector('[part~=mic]')`;
    await waitFor('the button', () => viewer.evaluate<boolean>(`${button}?.checkVisibility() === true`));
    await viewer.evaluate(`(() => {
      window.changes = [];
      document.querySelector('human-cast').addEventListener('micchange', ({ detail }) => changes.push(detail));
      ${button}.click();
    })()`);
    const isBeep = (peak: number) => peak > 500;
    await waitFor('a beep', () => peaks.some(isBeep));
    await viewer.evaluate(`${button}.click()`);
    // The fake devices beep at least once a second.
    await waitFor('silence', () => peaks.length > 100 && !peaks.slice(-100).some(isBeep));
    await viewer.evaluate(`document.querySelector('human-cast').removeAttribute('mic')`);
    await waitFor('no button', () => viewer.evaluate<boolean>(`!${button}.checkVisibility()`));
    expect(await viewer.evaluate('changes')).toEqual(['starting', 'on', 'muted', 'off']);
    await viewer.close();
  });

  it.each(['Chromium', 'Firefox'] as const)('plays in a frame in %s', async (name) => {
    const { id, token } = await producer.createSession('lights');
    site.html = `<!doctype html><iframe src="${stack.signalingUrl}/embed?session=${id}&token=${token}" width="640" height="360"
      allow="autoplay; fullscreen; picture-in-picture"></iframe>`;
    const viewer = await site.newPage(name);
    await viewer.goto(site.origin);
    // The frame is of another origin, so its host says what it shows.
    await waitFor(
      'the frame plays',
      async () => (await producer.session(id)).viewers[0]?.report?.framesDecoded ?? 0,
      (frames) => frames > 0,
    );
    await viewer.close();
  });
});
