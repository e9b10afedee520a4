/**
 * Measures what `<human-cast>` costs a page: bytes, main-thread time for each frame with and without transparency, the time
 * from the element to its first frame, how exactly a transparent avatar is drawn, and accessibility findings (axe-core).
 *
 *     npm run build && node bench/page.ts [--seconds 10] [--joins 10] [--json FILE]
 *
 * In headless Chromium without a GPU: WebGL is drawn by the CPU, and a video frame is converted and copied on the main thread
 * where a GPU would take it from its decoder. Main-thread time is that of all tasks of the page (`TaskDuration` of DevTools'
 * metrics) divided by the frames that it presents. Exits with 1 if an aim is missed.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import {
  accessibilityFindings,
  type Cleanup,
  launchChromium,
  makeTransparentClip,
  type PictureSize,
  type Producer,
  type TestChromium,
  transparentFrame,
  withCleanup,
} from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { build } from 'vite';
import { type Figure, reportFigures } from './lib/figures.ts';
import { describeMachine } from './lib/machine.ts';
import { openScene, temporaryFolder } from './lib/scene.ts';
import { percentile } from './lib/stats.ts';

const SIZES: Readonly<Record<string, PictureSize>> = {
  '720p': { width: 1280, height: 720 },
  '1080p': { width: 1920, height: 1080 },
};

const PLAYING = 'human-cast:state(playing)';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    joins: { type: 'string', default: '10' },
    json: { type: 'string' },
  },
});
const seconds = Number(values.seconds);
const machine = describeMachine();
const figures = [...(await sizes()), ...(await withCleanup(inBrowser))];
reportFigures({ bench: 'page', machine, figures, json: values.json });

/** @returns The sizes of the built modules, minified and gzipped. */
async function sizes(): Promise<Figure[]> {
  const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  const built = async (entry: string) => {
    const output = await build({
      configFile: false,
      logLevel: 'silent',
      resolve: { alias: { '@humancast/client': path('../packages/client/src/index.ts') } },
      build: {
        write: false,
        target: 'es2022',
        minify: true,
        lib: { entry: path(entry), formats: ['es'], fileName: () => 'entry.js' },
        rolldownOptions: { output: { minify: true } },
      },
    });
    const files = [output].flat().flatMap((each) => ('output' in each ? each.output : []));
    return files.map((file) => ({
      name: file.fileName,
      bytes: file.type === 'chunk' ? gzipSync(file.code, { level: 9 }).length : 0,
    }));
  };
  const element = await built('../packages/element/src/define.ts');
  const bytes = { group: 'Bytes, minified and gzipped', unit: 'B' };
  const [client] = await built('../packages/client/src/index.ts');
  const entry = element.find(({ name }) => name === 'entry.js')?.bytes ?? Number.NaN;
  const onDemand = (module: string) => element.find(({ name }) => name.startsWith(module))?.bytes ?? Number.NaN;
  return [
    { ...bytes, name: 'client alone', value: client?.bytes ?? Number.NaN },
    { ...bytes, name: 'element with client', value: entry, aim: { atMost: 15 * 1024 } },
    { ...bytes, name: 'matte renderer, loaded on demand', value: onDemand('matte') },
    { ...bytes, name: 'captions, loaded on demand', value: onDemand('captions') },
  ];
}

async function inBrowser(cleanup: Cleanup): Promise<Figure[]> {
  const mediaDir = temporaryFolder(cleanup);
  const { origin, show } = await pages(cleanup);
  const { stack, producer } = await openScene(cleanup, { mediaDir, env: { ALLOWED_ORIGINS: origin } });
  for (const [name, size] of Object.entries(SIZES)) {
    const rendition = { id: 'vp8', codec: 'vp8', maxWidth: size.width, maxHeight: size.height, bitrateBps: 3_000_000 };
    for (const [kind, alpha] of [
      ['opaque', undefined],
      ['clear', 'stack'],
    ]) {
      const avatar = `${kind}-${name}`;
      await producer.json('PUT', `${stack.loaderUrl}/v1/avatars/${avatar}`, { alpha, renditions: [rendition] });
      makeTransparentClip(join(mediaDir, avatar, 'idle/idle.mov'), { ...size, seconds: 2, fps: 30 });
      await producer.idleLoaded(avatar);
    }
  }
  const chromium = await launchChromium({ handleSignals: false });
  cleanup.add(() => chromium.close());
  const scene = { chromium, producer, url: stack.signalingUrl, show, origin };
  const costs: Figure[] = [];
  for (const name of Object.keys(SIZES)) {
    for (const kind of ['opaque', 'clear'] as const) costs.push(await cost(scene, kind, name));
  }
  return [...costs, ...(await joins(scene)), ...(await exactness(scene)), ...(await accessibility(scene))];
}

interface Scene {
  readonly chromium: TestChromium;
  readonly producer: Producer;
  readonly url: string;
  readonly origin: string;
  /** Sets what the origin serves. */
  show(html: string): void;
}

async function pages(cleanup: Cleanup) {
  let html = '';
  const server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add(() => {
    server.closeAllConnections();
    server.close();
  });
  const show = (next: string) => {
    html = next;
  };
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, show };
}

/** Opens a page of another origin with the element; resolves when it plays. */
async function play({ chromium, producer, url, origin, show }: Scene, avatar: string): Promise<Page> {
  const { id, token } = await producer.createSession(avatar);
  show(`<!doctype html><html lang="en"><title>bench</title><main><h1>Bench</h1>
    <script type="module" src="${url}/element.js"></script>
    <human-cast src="${url}" session="${id}" token="${token}" controls></human-cast></main></html>`);
  const page = await chromium.context.newPage();
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.goto(origin);
  await page.waitForSelector(PLAYING);
  return page;
}

async function cost(scene: Scene, kind: 'opaque' | 'clear', size: string): Promise<Figure> {
  const page = await play(scene, `${kind}-${size}`);
  await page.evaluate(() => {
    const video = document.querySelector('human-cast')?.shadowRoot?.querySelector('video');
    const counted = Object.assign(globalThis, { presented: 0 });
    const count = () => {
      counted.presented++;
      video?.requestVideoFrameCallback(count);
    };
    video?.requestVideoFrameCallback(count);
  });
  const devtools = await scene.chromium.context.newCDPSession(page);
  await devtools.send('Performance.enable');
  const read = async () => {
    const { metrics } = await devtools.send('Performance.getMetrics');
    const frames = await page.evaluate(() => (globalThis as unknown as { presented: number }).presented);
    return { taskMs: 1000 * (metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0), frames };
  };
  await page.waitForTimeout(2000);
  const before = await read();
  await page.waitForTimeout(1000 * seconds);
  const after = await read();
  await page.close();
  const frames = after.frames - before.frames;
  return {
    group: 'Main thread for each presented frame, without a GPU',
    name: `${size}, ${kind === 'clear' ? 'transparent' : 'opaque'}`,
    value: (after.taskMs - before.taskMs) / frames,
    unit: 'ms',
    digits: 2,
    note: `${(frames / seconds).toFixed(1)} frames a second`,
  };
}

async function joins(scene: Scene): Promise<Figure[]> {
  const times: Record<string, number[]> = { opaque: [], clear: [] };
  for (const kind of ['opaque', 'clear']) {
    // The first two warm up.
    for (let i = -2; i < Number(values.joins); i++) {
      const page = await play(scene, `${kind}-720p`);
      const ms = await page.evaluate(
        async (token) => {
          const old = document.querySelector('human-cast');
          const [session, src] = ['session', 'src'].map((name) => old?.getAttribute(name));
          old?.remove();
          const startedMs = performance.now();
          const cast = Object.assign(document.createElement('human-cast'), { src, session, token });
          document.body.append(cast);
          // A transparent one is drawn in a callback that was registered before this one.
          const video = cast.shadowRoot?.querySelector('video');
          return new Promise<number>((resolve) => {
            const presented = () => {
              const canvas = cast.shadowRoot?.querySelector('canvas');
              if (video?.hidden || (canvas && canvas.width === 300)) video?.requestVideoFrameCallback(presented);
              else resolve(performance.now() - startedMs);
            };
            video?.requestVideoFrameCallback(presented);
          });
        },
        await page.locator('human-cast').getAttribute('token'),
      );
      if (i >= 0) times[kind]?.push(ms);
      await page.close();
    }
  }
  const ms = { group: 'Element to first drawn frame, 720p, median', unit: 'ms', digits: 0 };
  return Object.entries(times).map(([kind, all]) => ({
    ...ms,
    name: kind === 'clear' ? 'transparent' : 'opaque',
    value: percentile(all, 0.5),
    note: `p95 ${Math.round(percentile(all, 0.95))} ms of ${all.length}`,
  }));
}

/** Compares what is drawn with the source, pixel by pixel. */
async function exactness(scene: Scene): Promise<Figure[]> {
  const size = SIZES['720p'] as PictureSize;
  const page = await play(scene, 'clear-720p');
  await page.waitForTimeout(2000);
  const drawn = Buffer.from(
    await page.locator('human-cast').evaluate(
      (cast) =>
        new Promise<string>((resolve) => {
          const root = cast.shadowRoot;
          root?.querySelector('video')?.requestVideoFrameCallback(() => {
            const canvas = root.querySelector('canvas') as HTMLCanvasElement;
            const copy = Object.assign(document.createElement('canvas'), {
              width: canvas.width,
              height: canvas.height,
            });
            const context = copy.getContext('2d') as CanvasRenderingContext2D;
            context.drawImage(canvas, 0, 0);
            const { data } = context.getImageData(0, 0, copy.width, copy.height);
            const reader = new FileReader();
            reader.onload = () => resolve(String(reader.result).split(',')[1] ?? '');
            reader.readAsDataURL(new Blob([data]));
          });
        }),
    ),
    'base64',
  );
  await page.close();
  const source = transparentFrame(size);
  const [alpha, color]: [number[], number[]] = [[], []];
  for (let i = 0; i < source.length; i += 4) {
    const [right = 0, seen = 0] = [source[i + 3], drawn[i + 3]];
    alpha.push(Math.abs(seen - right));
    for (let c = i; c < i + 3; c++) color.push(Math.abs((drawn[c] ?? 0) * seen - (source[c] ?? 0) * right) / 255);
  }
  const steps = { group: 'Error of 720p at 3 Mb/s against the source, of 255', unit: '', digits: 2 };
  const mean = (all: readonly number[]) => all.reduce((sum, each) => sum + each, 0) / all.length;
  return [
    { ...steps, name: 'opacity, mean', value: mean(alpha), aim: { atMost: 1 } },
    { ...steps, name: 'opacity, p99.9', value: percentile(alpha, 0.999) },
    { ...steps, name: 'opacity, worst pixel', value: percentile(alpha, 1) },
    { ...steps, name: 'premultiplied color, mean', value: mean(color), aim: { atMost: 2 } },
    { ...steps, name: 'premultiplied color, p99.9', value: percentile(color, 0.999) },
    { ...steps, name: 'premultiplied color, worst', value: percentile(color, 1) },
  ];
}

async function accessibility(scene: Scene): Promise<Figure[]> {
  const { chromium, producer, url } = scene;
  const { id, token } = await producer.createSession('opaque-720p');
  const element = await play(scene, 'clear-720p');
  const open = async (path: string) => {
    const page = await chromium.context.newPage();
    await page.goto(`${url}${path}?session=${id}&token=${token}`);
    await page.waitForSelector(PLAYING);
    return page;
  };
  const checked = [
    ['a page with the element', element],
    ['/embed', await open('/embed')],
    ['the console', await open('/')],
  ] as const;
  const found: Figure[] = [];
  for (const [name, page] of checked) {
    const findings = await accessibilityFindings(page);
    found.push({
      group: 'Findings of axe-core',
      name,
      value: findings.length,
      unit: '',
      digits: 0,
      aim: { atMost: 0 },
      note: findings.join('; '),
    });
    await page.close();
  }
  return found;
}
