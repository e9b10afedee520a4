import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  freePort,
  makeTransparentClip,
  ownAddress,
  Producer,
  type Stack,
  spawnTied,
  startStack,
  transparentFrame,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type AnyPage, ForeignSite } from './support/foreign-site.ts';

const SIZE = { width: 320, height: 180 };

/** A page of another origin, as its author writes it. */
const pageOf = (humancast: string, { id, token }: { id: string; token: string }) => `<!doctype html>
<title>Someone without a background</title>
<script type="module" src="${humancast}/element.js"></script>
<style>human-cast { width: ${SIZE.width}px }</style>
<human-cast src="${humancast}" session="${id}" token="${token}" transparent></human-cast>
`;

/** Reads what was drawn of the next frame, RGBA and not premultiplied. A canvas may be empty after it was composited. */
const DRAWN = `new Promise((resolve) => {
  const { shadowRoot } = document.querySelector('human-cast');
  shadowRoot.querySelector('video').requestVideoFrameCallback(() => {
    const copy = Object.assign(document.createElement('canvas'), ${JSON.stringify(SIZE)});
    const context = copy.getContext('2d');
    context.drawImage(shadowRoot.querySelector('canvas'), 0, 0);
    const { data } = context.getImageData(0, 0, copy.width, copy.height);
    resolve(btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join('')));
  });
})`;

const EXAMPLE = fileURLToPath(new URL('../examples/page/', import.meta.url));
const VTT = 'WEBVTT\n\n00:00.000 --> 00:30.000\nSpoken over moving content\n';

/** A rectangle of a page, px. */
interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** @returns Part of a screenshot, as RGB. */
function partOf(png: Buffer, { x, y, width, height }: Rectangle): Buffer {
  const [left, top, right, bottom] = [x, y, x + width, y + height].map(Math.round) as [number, number, number, number];
  const crop = `crop=${right - left}:${bottom - top}:${left}:${top}`;
  const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'];
  return execFileSync('ffmpeg', ['-v', 'error', '-i', '-', '-vf', crop, ...raw], { input: png });
}

/** @returns The mean difference of two pictures, of 255. */
function difference(a: Buffer, b: Buffer): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, i) => sum + Math.abs(value - (b[i] ?? 0)), 0) / a.length;
}

describe('a transparent avatar', () => {
  let stack: Stack;
  let producer: Producer;
  let site: ForeignSite;
  let example: string;
  let closeExample = () => {};

  beforeAll(async () => {
    site = await ForeignSite.open();
    const port = String(await freePort());
    example = `http://127.0.0.1:${port}`;
    const env = { ALLOWED_ORIGINS: `${site.origin},${example}`, RENDITIONS: 'vp8:vp8:320x180:3000k' };
    stack = await startStack({ senders: 1, mediaAddress: ownAddress(), env });
    producer = new Producer(stack);
    await producer.json('PUT', `${stack.loaderUrl}/v1/avatars/hair`, { alpha: 'stack' });
    makeTransparentClip(join(stack.mediaDir, 'hair/idle/hair.mov'), { ...SIZE, seconds: 2 });
    await site.launchBrowsers();
    await producer.idleLoaded('hair');
    const { PATH } = process.env;
    const child = spawnTied(process.execPath, [join(EXAMPLE, 'serve.mjs')], {
      stdio: 'inherit',
      env: { PATH, PORT: port, AVATAR: 'hair', HUMANCAST_URL: stack.signalingUrl, HUMANCAST_API_KEY: stack.apiKey },
    });
    closeExample = () => child.kill();
    await waitFor(
      'the example is served',
      () =>
        fetch(example).then(
          ({ ok }) => ok,
          () => false,
        ),
      (served) => served,
    );
  });

  afterAll(async () => {
    closeExample();
    await site?.close();
    await stack?.stop();
  });

  async function play(viewer: AnyPage): Promise<Buffer> {
    site.html = pageOf(stack.signalingUrl, await producer.createSession('hair'));
    await viewer.goto(site.origin);
    await waitFor(
      'video plays',
      () => viewer.evaluate<string>(`document.querySelector('human-cast').state`),
      (state) => state === 'playing',
    );
    const { width, height } = SIZE;
    const size = `(({ videoWidth, videoHeight, clientHeight }) => [videoWidth, videoHeight, clientHeight])`;
    expect(await viewer.evaluate(`${size}(document.querySelector('human-cast'))`)).toEqual([width, height, height]);
    return Buffer.from(await viewer.evaluate<string>(DRAWN), 'base64');
  }

  it.for(['Chromium with WebGL', 'Chromium without WebGL', 'Firefox without WebGL'])(
    'is drawn on a page of another origin with the opacity and the colors of its source in %s',
    async (name, { annotate }) => {
      const viewer = await site.newPage(name.startsWith('Firefox') ? 'Firefox' : 'Chromium');
      // Headless browsers have no GPU, and WebGL would be rejected where it is slow.
      await viewer.addInitScript(`{
        const { getContext } = HTMLCanvasElement.prototype;
        HTMLCanvasElement.prototype.getContext = function (kind, options) {
          if (kind !== 'webgl2') return getContext.call(this, kind, options);
          return ${name.includes('with WebGL')} ? getContext.call(this, kind) : null;
        };
      }`);
      const drawn = await play(viewer);
      const webgl = `document.querySelector('human-cast').shadowRoot.querySelector('canvas').getContext('webgl2') !== null`;
      expect(await viewer.evaluate(webgl)).toBe(name.includes('with WebGL'));
      const source = transparentFrame(SIZE);
      const errors = { alpha: [] as number[], color: [] as number[] };
      for (let i = 0; i < source.length; i += 4) {
        const [right = 0, seen = 0] = [source[i + 3], drawn[i + 3]];
        errors.alpha.push(Math.abs(seen - right));
        for (let c = i; c < i + 3; c++)
          errors.color.push(Math.abs((drawn[c] ?? 0) * seen - (source[c] ?? 0) * right) / 255);
      }
      const [alpha, color] = [statisticsOf(errors.alpha), statisticsOf(errors.color)];
      await annotate(
        `of 255: alpha ${alpha.mean.toFixed(2)} (max ${alpha.max}), color ${color.mean.toFixed(2)} (max ${color.max.toFixed(0)})`,
      );
      expect(alpha.mean).toBeLessThan(1.5);
      expect(alpha.max).toBeLessThan(60);
      expect(color.mean).toBeLessThan(3);
      expect(await viewer.evaluate(`getComputedStyle(document.querySelector('human-cast')).backgroundColor`)).toBe(
        'rgba(0, 0, 0, 0)',
      );
      await viewer.close();
    },
  );

  it.for(['Chromium', 'Firefox'] as const)(
    'speaks with captions on the ten lines of the example, which shows what moves behind, in %s',
    async (name) => {
      expect(readFileSync(join(EXAMPLE, 'plain.html'), 'utf8').trimEnd().split('\n').length).toBeLessThanOrEqual(10);
      const viewer = await site.newPage(name);
      await viewer.goto(example);
      const read = <T>(expression: string) =>
        viewer.evaluate<T>(`((cast) => ${expression})(document.querySelector('human-cast'))`);
      await waitFor(
        'video plays',
        () => read(`cast.state`),
        (state) => state === 'playing',
      );
      const clip = join(stack.mediaDir, 'speech.mov');
      makeTransparentClip(clip, { ...SIZE, seconds: 30 });
      const file = new Blob([readFileSync(clip)]);
      const { id } = await producer.uploadSegment('hair', file, { name: 'speech.mov', text: VTT });
      await producer.speak(await read<string>(`cast.session`), [id]);
      await waitFor(
        'its captions',
        () => read(`cast.shadowRoot.querySelector('[part~=captions]')?.textContent`),
        (text) => text === 'Spoken over moving content',
      );
      expect(await read(`cast.matches(':state(speaking)')`)).toBe(true);

      const { x, y, width, height } = await read<Rectangle>(`cast.getBoundingClientRect().toJSON()`);
      // Beside the hair, and on the face.
      const [corner, face] = [
        { x, y, width: width * 0.15, height: height * 0.3 },
        { x: x + width * 0.45, y: y + height * 0.5, width: width * 0.1, height: height * 0.1 },
      ];
      const early = partOf(await viewer.screenshot(), corner);
      await read(`new Promise((resolve) => setTimeout(() => resolve(true), 1500))`);
      expect(difference(partOf(await viewer.screenshot(), corner), early)).toBeGreaterThan(3);
      await read(`document.getAnimations().map((animation) => animation.pause()).length`);
      const withSomeone = await viewer.screenshot();
      await read(`cast.style.visibility = 'hidden'`);
      const withNobody = await viewer.screenshot();
      expect(difference(partOf(withSomeone, corner), partOf(withNobody, corner))).toBeLessThan(0.5);
      expect(difference(partOf(withSomeone, face), partOf(withNobody, face))).toBeGreaterThan(20);
      await viewer.close();
    },
  );

  it('is not drawn while its tab is hidden, and plays on in the same connection when it is shown', async ({
    annotate,
  }) => {
    const viewer = await site.newPage('Firefox');
    await viewer.addInitScript(`
      const { putImageData } = CanvasRenderingContext2D.prototype;
      window.draws = 0;
      CanvasRenderingContext2D.prototype.putImageData = function (...parameters) {
        window.draws++;
        return putImageData.apply(this, parameters);
      };
      const Native = window.RTCPeerConnection;
      window.connections = 0;
      window.RTCPeerConnection = class extends Native {
        constructor(...options) { super(...options); window.connections++; }
      };`);
    await play(viewer);
    const read = <T>(expression: string) => viewer.evaluate<T>(expression);
    const connections = await read<number>('window.connections');
    const inFront = await site.newPage('Firefox');
    await waitFor(
      'the tab is hidden',
      () => read<string>('document.visibilityState'),
      (state) => state === 'hidden',
    );
    const before = await read<number>('window.draws');
    await read('new Promise((resolve) => setTimeout(() => resolve(true), 2000))');
    // One frame may have been on its way.
    expect((await read<number>('window.draws')) - before).toBeLessThanOrEqual(1);
    await inFront.close();
    const shownMs = performance.now();
    await waitFor(
      'it is drawn again',
      () => read<number>('window.draws'),
      (draws) => draws > before + 3,
    );
    await annotate(`drawn ${Math.round(performance.now() - shownMs)} ms after the tab was shown`);
    expect(await read<string>(`document.querySelector('human-cast').state`)).toBe('playing');
    expect(await read<number>('window.connections')).toBe(connections);
    await viewer.close();
  });

  it('has a poster without its matte, and is rejected by WHEP, whose players would show both', async () => {
    const poster = await producer.request('GET', producer.signaling('/v1/avatars/hair/poster'));
    const webp = Buffer.from(await poster.arrayBuffer());
    // RFC 6386 §9.1: after the RIFF headers, the frame tag and the start code.
    expect([webp.readUInt16LE(26), webp.readUInt16LE(28)]).toEqual([SIZE.width, SIZE.height]);
    const offer = await fetch(producer.signaling('/whep/hair'), {
      method: 'POST',
      headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/sdp' },
      body: 'v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789abcdef012345\r\n',
    });
    expect([offer.status, ((await offer.json()) as { code: string }).code]).toEqual([406, 'transparent_avatar']);
  });
});

function statisticsOf(errors: readonly number[]): { mean: number; max: number } {
  return {
    mean: errors.reduce((sum, error) => sum + error, 0) / errors.length,
    max: errors.reduce((a, b) => Math.max(a, b)),
  };
}
