import { execFileSync } from 'node:child_process';
import { type LiveStart } from '@humancast/protocol';
import { keys, newId, type SegmentManifest, SessionRegistry } from '@humancast/shared';
import { bgrFrame, LIVE_HEADER, LivePusher, pushAtPace, rawUpgrade, tone, waitFor } from '@humancast/testkit';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { Clips } from '../../testing/clips.js';
import { decodeSegment, type Pixel } from '../../testing/decoded-segment.js';
import { API_KEY, TestLoader } from '../../testing/start-test-loader.js';

const SIZE = { width: 96, height: 64 };
const HEADER = { ...LIVE_HEADER, ...SIZE };
const FRAME = bgrFrame(SIZE.width, SIZE.height, [255, 255, 255]);
const SAMPLES_A_FRAME = 960;

let loader: TestLoader;
const pushers: LivePusher[] = [];

beforeAll(async () => {
  loader = await TestLoader.start({
    LIVE_IDLE_MINUTES: '0.05',
    LIVE_TRACK_WAIT_MS: '500',
    LIVE_MAX_SECONDS: '60',
    LIVE_PUSHES: '3',
  });
  await loader.defineAvatar('ann');
});

afterAll(() => loader?.stop());

afterEach(() => {
  for (const pusher of pushers.splice(0)) pusher.socket.terminate();
});

async function connect(target: { avatar?: string; session?: string; turn?: number } = {}): Promise<LivePusher> {
  const pusher = await LivePusher.connect({ loaderUrl: loader.url, apiKey: API_KEY }, { avatar: 'ann', ...target });
  pushers.push(pusher);
  return pusher;
}

async function begin(header: Partial<LiveStart> = {}, target = {}) {
  const pusher = await connect(target);
  const { segment, seq } = await pusher.start({ ...HEADER, ...header });
  return { pusher, segment, seq };
}

async function manifestOf(segment: string): Promise<SegmentManifest> {
  return waitFor('the segment to be over', async () => {
    const manifest = await loader.store.getManifest(segment);
    return manifest?.state !== 'open' && manifest;
  });
}

/** @returns The error code, and the close code, which must have the same meaning. */
async function rejection(pusher: LivePusher): Promise<[string, number]> {
  const closeCode = await pusher.closed();
  const told = pusher.messages.find((message) => message.type === 'error');
  return [told?.code ?? 'nothing', closeCode];
}

function statusOf(path: string, key = API_KEY): Promise<number | undefined> {
  const socket = new WebSocket(`${loader.url.replace(/^http/, 'ws')}${path}`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return new Promise((resolve, reject) => {
    socket.on('unexpected-response', (_, response) => resolve(response.statusCode));
    socket.on('open', () => reject(new Error('it was let in')));
    socket.on('error', reject);
  });
}

describe('a live push', () => {
  it('becomes a segment with exactly the pushed video and audio, in sync', async () => {
    const { pusher, segment } = await begin({ name: 'flash and beep' });
    const black = bgrFrame(SIZE.width, SIZE.height, [0, 0, 0]);
    for (let i = 0; i < 60; i++) {
      pusher.pushVideo(i >= 30 ? FRAME : black);
      pusher.pushAudio(i >= 30 ? tone(1000, i * SAMPLES_A_FRAME, SAMPLES_A_FRAME) : new Float32Array(SAMPLES_A_FRAME));
    }
    expect(await pusher.end()).toEqual({ type: 'done', segment, durationMs: 2400, frames: 60 });
    expect(await pusher.closed()).toBe(1000);
    const manifest = await manifestOf(segment);
    expect(manifest).toMatchObject({
      avatar: 'ann',
      name: 'flash and beep',
      role: 'speech',
      source: 'live',
      state: 'complete',
      frames: 60,
      gopFrames: 25,
      pcmSamples: 57_600,
      durationSamples: 115_200,
      renditions: [{ id: 'vp8', ...SIZE }],
    });
    expect(await loader.store.hasAllParts(segment)).toBe(true);
    const decoded = await decodeSegment(loader.store, manifest);
    expect(decoded.pixels).toHaveLength(60);
    expect(decoded.flashes).toEqual([1.2]);
    expect(decoded.beeps[0]).toBeCloseTo(1.2, 3);
    expect(decoded.samples).toHaveLength(57_600);
  });

  it('keeps its text, which must be in order', async () => {
    const { pusher, segment } = await begin();
    const cues = ['one', 'two'].map((text, i) => ({ text, atMs: 1000 * i, untilMs: 1000 * (i + 1) }));
    for (const cue of cues) pusher.socket.send(JSON.stringify({ type: 'text', ...cue }));
    pusher.pushVideo(FRAME);
    await waitFor('the text', async () => (await loader.store.getManifest(segment))?.text?.length === 2);
    await pusher.end();
    expect((await manifestOf(segment)).text).toEqual(cues);
    const wrong = [[cues[1], cues[0]], [{ text: 'one', atMs: 5, untilMs: 5 }], [{ text: ' ', atMs: 0, untilMs: 1 }]];
    for (const texts of wrong) {
      const { pusher: other } = await begin();
      for (const text of texts) other.socket.send(JSON.stringify({ type: 'text', ...text }));
      expect(await rejection(other)).toEqual(['bad_message', 4400]);
    }
  });

  describe('for an avatar with a composition', () => {
    const clips = new Clips();
    const GREEN = [0, 255, 0] as const;
    const key = { color: '#00ff00', similarity: 0.3, blend: 0 };
    const layers = [
      { input: 'studio', fit: 'stretch' },
      { input: 'main', key, box: { x: 64, y: 0, width: 64, height: 128 } },
      { input: 'logo', box: { x: 96, y: 0, width: 32, height: 32 } },
    ];
    const composition = { width: 128, height: 128, fps: { num: 10, den: 1 }, layout: 'over-background', layers };
    const still = (name: string, color: string) =>
      clips.make(name, ['-f', 'lavfi', '-i', `color=${color}:s=64x64,format=rgba`, '-frames:v', '1']);

    beforeAll(async () => {
      await loader.defineAvatar('keyed', { composition });
      await loader.drop(await still('studio.png', 'blue'), 'keyed/layers/studio.png');
    });
    afterAll(() => clips.remove());

    it('is rejected while a layer is missing', async () => {
      const pusher = await connect({ avatar: 'keyed' });
      pusher.socket.send(JSON.stringify(HEADER));
      expect((await rejection(pusher))[0]).toBe('composition_input_missing');
    });

    it('is merged between the layers below and above it, like a file', async () => {
      await loader.drop(await still('logo.png', 'red'), 'keyed/layers/logo.png');
      const { pusher, segment } = await begin({ width: 64, height: 128 }, { avatar: 'keyed' });
      // White at the top, green at the bottom.
      const frame = Buffer.concat([bgrFrame(64, 64, [255, 255, 255]), bgrFrame(64, 64, GREEN)]);
      for (let i = 0; i < 25; i++) {
        pusher.pushVideo(frame);
        pusher.pushAudio(new Float32Array(SAMPLES_A_FRAME));
      }
      expect(await pusher.end()).toMatchObject({ durationMs: 1000, frames: 10 });
      const manifest = await manifestOf(segment);
      expect(manifest).toMatchObject({ fps: { num: 10, den: 1 }, renditions: [{ width: 128, height: 128 }] });
      const seen = async (x: number, y: number) =>
        (await decodeSegment(loader.store, manifest, 0, { x, y })).pixels.map((pixel) => colorOf(pixel));
      expect(await seen(0.25, 0.5)).toEqual(Array(10).fill('blue'));
      expect(await seen(0.75, 0.4)).toEqual(Array(10).fill('white'));
      expect(await seen(0.75, 0.75)).toEqual(Array(10).fill('blue'));
      expect(await seen(0.9, 0.1)).toEqual(Array(10).fill('red'));
    });

    /** BT.601, limited range. */
    function colorOf({ y, u, v }: Pixel): string {
      const known = { blue: [41, 240, 110], red: [81, 90, 240], white: [235, 128, 128] };
      const near = (color: number[]) => [y, u, v].every((value, i) => Math.abs(value - (color[i] ?? 0)) <= 8);
      return Object.entries(known).find(([, color]) => near(color))?.[0] ?? `${y},${u},${v}`;
    }
  });

  it('keeps flash and beep in sync after a stretch with audio and held video', async () => {
    const { pusher, segment } = await begin();
    const black = bgrFrame(SIZE.width, SIZE.height, [0, 0, 0]);
    for (let i = 0; i < 25; i++) pusher.pushVideo(black);
    pusher.pushAudio(new Float32Array(24_000));
    pusher.pushAudio(new Float32Array(24_000));
    for (let i = 0; i < 25; i++) pusher.socket.send(JSON.stringify({ type: 'hold', frames: 1 }));
    for (let i = 0; i < 25; i++) pusher.pushVideo(FRAME);
    pusher.pushAudio(tone(1000, 0, 24_000));
    expect(await pusher.end()).toMatchObject({ frames: 75, durationMs: 3000 });
    const decoded = await decodeSegment(loader.store, await manifestOf(segment));
    expect(decoded.flashes).toEqual([2]);
    expect(decoded.beeps[0]).toBeCloseTo(2, 2);
  });

  it('shows the avatar while held before the first frame, and skips no frame', async () => {
    const { pusher, segment } = await begin();
    pusher.socket.send(JSON.stringify({ type: 'hold', frames: 25 }));
    for (let i = 0; i < 25; i++) pusher.pushVideo(FRAME);
    pusher.pushAudio(new Float32Array(48_000));
    expect(await pusher.end()).toMatchObject({ frames: 50, durationMs: 2000 });
    expect((await decodeSegment(loader.store, await manifestOf(segment))).flashes).toEqual([1]);
  });

  it('may pause beyond the idle timeout while it sends alive messages, without a gap', async () => {
    const { pusher, segment } = await begin();
    const speak = (from: number) => {
      pusher.pushAudio(tone(1000, from * 24_000, 24_000));
      for (let i = 0; i < 25; i++) pusher.pushVideo(FRAME);
    };
    speak(0);
    // A status comes twice a second, and LIVE_IDLE_MINUTES is six of them here.
    for (let i = 0; i < 8; i++) {
      const told = pusher.messages.length;
      await waitFor('a status', async () => pusher.messages.length > told);
      pusher.socket.send(JSON.stringify({ type: 'alive' }));
    }
    speak(1);
    expect(await pusher.end()).toMatchObject({ frames: 50, durationMs: 2000 });
    const last = pusher.messages.findLast((message) => message.type === 'status');
    expect(last?.lagMs).toBeDefined();
    const { samples, beeps } = await decodeSegment(loader.store, await manifestOf(segment));
    expect(samples).toHaveLength(48_000);
    expect(beeps).toHaveLength(1);
  });

  it.each([
    ['audio', {}],
    ['audio at another rate', { sampleRate: 22_050 }],
    ['frames', {}],
  ] as const)('stays in sync after a second of %s only if it fills up to there', async (track, header) => {
    const { pusher, segment } = await begin(header);
    const rate = 'sampleRate' in header ? header.sampleRate : 24_000;
    const black = bgrFrame(SIZE.width, SIZE.height, [0, 0, 0]);
    const silence = new Float32Array(rate);
    for (let i = 0; i < 25; i++) pusher.pushVideo(black);
    pusher.pushAudio(silence);
    if (track === 'frames') for (let i = 0; i < 25; i++) pusher.pushVideo(black);
    else pusher.pushAudio(silence);
    pusher.socket.send(JSON.stringify({ type: 'fill', toMs: 2000 }));
    for (let i = 0; i < 25; i++) pusher.pushVideo(FRAME);
    pusher.pushAudio(Float32Array.from({ length: rate }, (_, i) => 0.5 * Math.sin((2 * Math.PI * 1000 * i) / rate)));
    expect(await pusher.end()).toMatchObject({ frames: 75, durationMs: 3000 });
    const { flashes, beeps } = await decodeSegment(loader.store, await manifestOf(segment));
    expect(flashes).toEqual([2]);
    expect(beeps[0]).toBeCloseTo(2, 2);
  });

  it('is listed and readable while it is open', async () => {
    const { pusher, segment } = await begin();
    pusher.pushVideo(FRAME);
    expect((await loader.store.getManifest(segment))?.state).toBe('open');
    expect((await loader.request('GET', `/v1/segments/${segment}`)).body).toMatchObject({
      state: 'open',
      source: 'live',
    });
  });

  it.each([
    [44_100, 's16'],
    [16_000, 'f32'],
  ] as const)('accepts audio at %i Hz as %s', async (sampleRate, sampleFormat) => {
    const { pusher, segment } = await begin({ sampleRate, sampleFormat });
    for (let i = 0; i < 25; i++) pusher.pushVideo(FRAME);
    const pcm = sampleFormat === 's16' ? new Int16Array(sampleRate) : new Float32Array(sampleRate);
    pusher.pushAudio(pcm);
    expect(await pusher.end()).toMatchObject({ durationMs: 1000 });
    expect((await manifestOf(segment)).pcmSamples).toBe(24_000);
  });

  it("is converted to the avatar's frame rate and renditions", async () => {
    await loader.defineAvatar('slow', {
      fps: { num: 10, den: 1 },
      renditions: [
        { id: 'big', codec: 'vp8', maxWidth: 96, maxHeight: 64, bitrateBps: 200_000 },
        { id: 'small', codec: 'h264', maxWidth: 48, maxHeight: 48, bitrateBps: 100_000 },
      ],
    });
    const { pusher, segment } = await begin({}, { avatar: 'slow' });
    for (let i = 0; i < 50; i++) pusher.pushVideo(i >= 25 ? FRAME : bgrFrame(SIZE.width, SIZE.height, [0, 0, 0]));
    expect(await pusher.end()).toMatchObject({ frames: 20, durationMs: 2000 });
    const manifest = await manifestOf(segment);
    expect(manifest.renditions).toMatchObject([{ width: 96 }, { width: 48, height: 32 }]);
    expect((await decodeSegment(loader.store, manifest)).flashes).toEqual([1]);
    expect((await decodeSegment(loader.store, manifest, 1)).pixels).toHaveLength(20);
  });

  it('holds back a producer that sends 1000 frames at once, and keeps every one', async () => {
    const { pusher, segment } = await begin();
    // Audio comes first; otherwise a slow machine would take it for missing and fill it with silence.
    pusher.pushAudio(new Float32Array(40 * 24_000));
    for (let i = 0; i < 1000; i++) pusher.pushVideo(FRAME);
    expect(await pusher.end()).toMatchObject({ frames: 1000, durationMs: 40_000 });
    expect(await loader.store.hasAllParts(segment)).toBe(true);
  });

  it('reports its state twice a second, including clamped samples', async () => {
    const { pusher } = await begin();
    pusher.pushAudio(Float32Array.from([0, 2, Number.NaN]));
    pusher.pushVideo(FRAME);
    const status = await pusher.message('status');
    expect(status).toMatchObject({ framesReceived: 1, clampedSamples: 2 });
    expect(status.lagMs).toBeGreaterThan(0);
  });

  it("is silent without audio, and shows the avatar's still without video", async () => {
    const noAudio = await begin();
    for (let i = 0; i < 25; i++) noAudio.pusher.pushVideo(FRAME);
    expect(await noAudio.pusher.end()).toMatchObject({ frames: 25, durationMs: 1000 });
    const noVideo = await begin();
    noVideo.pusher.pushAudio(new Float32Array(24_000));
    expect(await noVideo.pusher.end()).toMatchObject({ frames: 1, durationMs: 1000 });
    expect((await manifestOf(noVideo.segment)).state).toBe('complete');
  });

  it('continues with one track while the other is missing', async () => {
    const { pusher } = await begin();
    const pushing = setInterval(() => pusher.pushVideo(FRAME), 40);
    const status = await waitFor('silence to be put in', async () =>
      pusher.messages.find((message) => message.type === 'status' && message.readyMs > 0),
    );
    clearInterval(pushing);
    expect(status).toBeDefined();
  });

  it('ends with what arrived when its producer disconnects, and states why', async () => {
    const { pusher, segment } = await begin();
    for (let i = 0; i < 30; i++) pusher.pushVideo(FRAME);
    await pusher.message('status');
    pusher.socket.terminate();
    expect(await manifestOf(segment)).toMatchObject({
      state: 'complete',
      frames: 30,
      failure: { code: 'producer_gone' },
    });
    expect(await loader.store.hasAllParts(segment)).toBe(true);
  });

  it('fails with live_empty if nothing was sent', async () => {
    const { pusher, segment } = await begin();
    pusher.socket.send('{"type":"end"}');
    expect(await rejection(pusher)).toEqual(['live_empty', 4422]);
    expect(await manifestOf(segment)).toMatchObject({ state: 'failed', failure: { code: 'live_empty' } });
  });

  it('keeps what arrived when its encoder crashes, and the next push works', async () => {
    const { pusher, segment } = await begin();
    for (let i = 0; i < 30; i++) pusher.pushVideo(FRAME);
    await waitFor('frames to be encoded', async () =>
      pusher.messages.find((message) => message.type === 'status' && message.framesEncoded === 30),
    );
    crashEncoder();
    expect(await rejection(pusher)).toEqual(['encoder_failed', 4500]);
    expect(await manifestOf(segment)).toMatchObject({ frames: 30, failure: { code: 'encoder_failed' } });
    const next = await begin();
    next.pusher.pushVideo(FRAME);
    expect(await next.pusher.end()).toMatchObject({ frames: 1 });
  });
});

describe('a live push is rejected', () => {
  it('without a key, an avatar, or a running session of that avatar', async () => {
    expect(await statusOf('/v1/live?avatar=ann', 'not the key')).toBe(401);
    expect(await statusOf('/v1/live?avatar=nobody')).toBe(404);
    expect(await statusOf('/v1/live')).toBe(404);
    expect(await statusOf('/v1/other?avatar=ann')).toBe(404);
    expect(await statusOf(`/v1/live?avatar=ann&session=${newId('ses')}`)).toBe(404);
    const registry = new SessionRegistry(loader.redis);
    const [others, ended] = [newId('ses'), newId('ses')];
    await registry.create(others, 'bob');
    await registry.create(ended, 'ann');
    await registry.end(ended, 'deleted');
    expect(await statusOf(`/v1/live?avatar=ann&session=${others}`)).toBe(409);
    expect(await statusOf(`/v1/live?avatar=ann&session=${ended}`)).toBe(410);
  });

  it('with a problem document with one content type and length', async () => {
    for (const [path, key, expected] of [
      ['/v1/live?avatar=ann', 'not the key', 401],
      ['/v1/other?avatar=ann', API_KEY, 404],
    ] as const) {
      const url = `${loader.url.replace(/^http/, 'ws')}${path}`;
      const { status, headers, body } = await rawUpgrade(url, { authorization: `Bearer ${key}` });
      expect(status).toBe(expected);
      expect(headers.get('content-type')).toEqual(['application/problem+json']);
      expect(headers.get('content-length')).toEqual([String(Buffer.byteLength(body))]);
      expect(JSON.parse(body)).toMatchObject({ status });
    }
  });

  it('above the limit of concurrent pushes', async () => {
    await Promise.all([connect(), connect(), connect()]);
    expect(await statusOf('/v1/live?avatar=ann')).toBe(503);
  });

  const cases: [string, (pusher: LivePusher) => unknown, string, number][] = [
    ['frames without a header', (pusher) => pusher.pushVideo(FRAME), 'start_required', 4409],
    ['an end without a header', (pusher) => pusher.socket.send('{"type":"end"}'), 'start_required', 4409],
    ['text that is no JSON', (pusher) => pusher.socket.send('hello'), 'bad_message', 4400],
    [
      'an unknown pixel format',
      (pusher) => pusher.socket.send(JSON.stringify({ ...HEADER, pixelFormat: 'nv12' })),
      'bad_message',
      4400,
    ],
    [
      'a second header',
      (pusher) => {
        pusher.socket.send(JSON.stringify(HEADER));
        pusher.socket.send(JSON.stringify(HEADER));
      },
      'already_started',
      4409,
    ],
    [
      'a frame too small to be encoded',
      (pusher) => pusher.socket.send(JSON.stringify({ ...HEADER, width: 2000, height: 16 })),
      'media_too_small',
      4422,
    ],
  ];
  it.each(cases)('for %s', async (_, send, code, closeCode) => {
    const pusher = await connect();
    await send(pusher);
    expect(await rejection(pusher)).toEqual([code, closeCode]);
  });

  const started: [string, Partial<LiveStart>, (pusher: LivePusher) => void, string, number][] = [
    ['a frame of the wrong size', {}, (pusher) => pusher.pushVideo(FRAME.subarray(1)), 'live_frame_size', 4400],
    ['half a sample', {}, (pusher) => pusher.socket.send(Buffer.alloc(4 + 7, 2)), 'live_audio_size', 4400],
    ['a message of no known kind', {}, (pusher) => pusher.socket.send(Buffer.alloc(8, 9)), 'bad_message', 4400],
    [
      'a broken JPEG',
      { pixelFormat: 'jpeg' },
      (pusher) => pusher.pushVideo(Buffer.alloc(99)),
      'live_frame_corrupt',
      4422,
    ],
    [
      'audio for longer than allowed',
      {},
      (pusher) => pusher.pushAudio(new Float32Array(61 * 24_000)),
      'media_too_long',
      4422,
    ],
    [
      'more to fill than 1000 frames',
      {},
      (pusher) => pusher.socket.send('{"type":"fill","toMs":40041}'),
      'bad_message',
      4400,
    ],
    [
      'a fill beyond the maximum length',
      {},
      (pusher) => pusher.socket.send('{"type":"fill","toMs":60001}'),
      'media_too_long',
      4422,
    ],
    ['no media within the idle timeout', {}, () => {}, 'idle_timeout', 4408],
  ];
  it.each(started)('for %s', async (_, header, send, code, closeCode) => {
    const { pusher, segment } = await begin(header);
    send(pusher);
    expect(await rejection(pusher)).toEqual([code, closeCode]);
    await manifestOf(segment);
  });

  it('for a message larger than any frame, by the WebSocket library', async () => {
    const { pusher } = await begin();
    pusher.socket.send(Buffer.alloc(4 + 3840 * 2160 * 4 + 1));
    expect(await pusher.closed()).toBe(1009);
  });
});

describe('a live push into a session', () => {
  async function session(): Promise<{ id: string; registry: SessionRegistry }> {
    const registry = new SessionRegistry(loader.redis);
    const id = newId('ses');
    await registry.create(id, 'ann');
    return { id, registry };
  }

  it('is queued when it opens, and a second one after it', async () => {
    const { id, registry } = await session();
    const first = await begin({}, { session: id });
    const second = await begin({}, { session: id });
    expect([first.seq, second.seq]).toEqual([1, 2]);
    expect(await registry.queue(id)).toEqual([
      { seq: 1, segment: first.segment },
      { seq: 2, segment: second.segment },
    ]);
  });

  it('interrupts the speech if requested', async () => {
    const { id, registry } = await session();
    await begin({}, { session: id });
    await begin({ interrupt: true }, { session: id });
    expect((await registry.get(id)).interruptedSeq).toBe(1);
  });

  it('is rejected if the session was interrupted between its opening and its start', async () => {
    const { id, registry } = await session();
    const pusher = await connect({ session: id });
    await registry.interrupt(id);
    pusher.socket.send(JSON.stringify(HEADER));
    expect(await rejection(pusher)).toEqual(['interrupted', 4409]);
    expect(await registry.queue(id)).toEqual([]);
    const next = await connect({ session: id });
    expect(await next.start(HEADER)).toMatchObject({ seq: 1, turn: 1 });
  });

  it('is rejected if the turn that it states is over, also if it would interrupt', async () => {
    const { id, registry } = await session();
    const { pusher } = await begin({ interrupt: true }, { session: id, turn: 0 });
    expect(await pusher.message('ready')).toMatchObject({ turn: 1 });
    for (const interrupt of [false, true]) {
      const late = await connect({ session: id, turn: 0 });
      late.socket.send(JSON.stringify({ ...HEADER, interrupt }));
      expect(await rejection(late)).toEqual(['interrupted', 4409]);
    }
    expect((await registry.get(id)).turn).toBe(1);
    expect(await registry.queue(id)).toHaveLength(1);
  });

  it('with a turn that is not a number is rejected with 400', async () => {
    const { id } = await session();
    expect(await statusOf(`/v1/live?avatar=ann&session=${id}&turn=now`)).toBe(400);
  });

  it('is notified of an interruption, and is stored to its end', async () => {
    const { id, registry } = await session();
    const epoch = await registry.requestHost(id);
    await registry.claim(id, epoch as number, 'snd_00000000');
    const { pusher, segment } = await begin({}, { session: id });
    await registry.speechFinished(id, epoch as number, {
      type: 'speech.finished',
      seq: 1,
      segment,
      positionMs: 420,
      interrupted: true,
      reason: 'interrupted',
    });
    expect(await pusher.message('interrupted')).toEqual({ type: 'interrupted', positionMs: 420 });
    pusher.pushVideo(FRAME);
    expect(await pusher.end()).toMatchObject({ frames: 1 });
  });

  it('ends when the session ends', async () => {
    const { id, registry } = await session();
    const { pusher, segment } = await begin({}, { session: id });
    pusher.pushVideo(FRAME);
    await pusher.message('status');
    await registry.end(id, 'deleted');
    expect(await rejection(pusher)).toEqual(['session_ended', 4410]);
    expect(await manifestOf(segment)).toMatchObject({ state: 'complete', frames: 1 });
  });
});

describe('a live push that encodes slower than real time', () => {
  it('reports its lag, then fails, and keeps what arrived', async () => {
    const slow = await TestLoader.start({ LIVE_LAG_LIMIT_MS: '1500', RENDITIONS: 'vp8:vp8:3840x2160:8000k' });
    try {
      await slow.defineAvatar('ann');
      const pusher = await LivePusher.connect({ loaderUrl: slow.url, apiKey: API_KEY }, { avatar: 'ann' });
      const size = { width: 3840, height: 2160 };
      const { segment } = await pusher.start({ ...HEADER, ...size, fps: 60, pixelFormat: 'jpeg' });
      const pushing = pushAtPace(pusher, { frame: jpeg('3840x2160'), hz: 440, fps: 60, seconds: 20 });
      expect(await rejection(pusher)).toEqual(['live_overloaded', 4503]);
      pushing.stop();
      const lags = pusher.messages.flatMap((message) => (message.type === 'status' ? [message.lagMs] : []));
      expect(Math.max(...lags)).toBeGreaterThan(500);
      const manifest = await waitFor('the segment to be over', async () => {
        const found = await slow.store.getManifest(segment);
        return found?.state !== 'open' && found;
      });
      expect(manifest).toMatchObject({ state: 'complete', failure: { code: 'live_overloaded' } });
    } finally {
      await slow.stop();
    }
  });
});

describe('the live store of an open push', () => {
  it('keeps little more than what is not stored yet', async () => {
    const { pusher, segment } = await begin();
    for (let i = 0; i < 250; i++) {
      pusher.pushVideo(FRAME);
      pusher.pushAudio(tone(440, i * SAMPLES_A_FRAME, SAMPLES_A_FRAME));
    }
    await waitFor('ten seconds to be encoded', async () =>
      pusher.messages.find((message) => message.type === 'status' && message.framesEncoded === 250),
    );
    // Out of 250 frames and as many audio messages.
    expect(await loader.redis.xlen(keys.live(segment))).toBeLessThan(200);
    await pusher.end();
    expect(await loader.redis.ttl(keys.live(segment))).toBeLessThanOrEqual(60);
  });
});

/** All encoder processes of this test except the spare have a set-up, so the oldest child is the one in use. */
function crashEncoder(): void {
  const children = execFileSync('ps', ['-o', 'pid=,args=', '--ppid', String(process.pid)], { encoding: 'utf8' })
    .split('\n')
    .filter((line) => line.includes('encoder/main.ts'))
    .map((line) => Number.parseInt(line, 10));
  process.kill(Math.min(...children), 'SIGSEGV');
}

function jpeg(size: string): Buffer {
  const args = ['-v', 'error', '-f', 'lavfi', '-i', `testsrc2=size=${size}`, '-frames:v', '1', '-f', 'mjpeg', 'pipe:1'];
  return execFileSync('ffmpeg', args);
}
