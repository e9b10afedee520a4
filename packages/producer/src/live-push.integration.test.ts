import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@humancast/shared';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FakeLoader } from '../testing/fake-loader.js';
import { Humancast } from './humancast.js';
import type { LiveOptions } from './live-push.js';
import { ProducerError } from './producer-error.js';

const PATIENCE = { timeout: 5000, interval: 10 };
const FORMAT = { avatar: 'demo', fps: 25, width: 32, height: 16, pixelFormat: 'bgr24' } as const;
const FRAME = new Uint8Array(32 * 16 * 3).fill(7);

let loader: FakeLoader;
let humancast: Humancast;

beforeAll(async () => {
  loader = await FakeLoader.start();
  humancast = new Humancast({ apiKey: loader.apiKey, loaderUrl: loader.url });
});
afterAll(() => loader.close());

const open = (options: Partial<LiveOptions> = {}) => humancast.live({ ...FORMAT, ...options });

/** @returns The error that a promise rejects with. */
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it did not fail'),
    (error: ProducerError) => error,
  );

describe('LivePush', () => {
  it('sends every frame and sample, and returns the segment', async () => {
    const session = newId('ses');
    const push = await open({ session, name: 'hello', interrupt: true });
    expect(push).toMatchObject({ segment: loader.last.segment, seq: 1 });
    for (let frame = 0; frame < 5; frame++) {
      await push.pushAudio(new Int16Array(960).fill(frame));
      await push.pushVideo(FRAME);
    }
    expect(await push.end()).toEqual({ segment: push.segment, durationMs: 200, frames: 5 });
    const { breaches, start, audio, avatar, outcome } = loader.last;
    expect(breaches).toEqual([]);
    expect(start).toMatchObject({ name: 'hello', interrupt: true, sampleRate: 24_000, sampleFormat: 's16' });
    expect({ avatar, session: loader.last.session, outcome }).toEqual({ avatar: 'demo', session, outcome: 'end' });
    expect(audio.map((bytes) => bytes.readInt16LE(1918))).toEqual([0, 1, 2, 3, 4]);
  });

  it('belongs to the turn that it states, and is rejected with interrupted once that is over', async () => {
    const session = newId('ses');
    const push = await open({ session });
    expect(push.turn).toBe(0);
    loader.turn = 1;
    expect(await errorOf(open({ session, turn: 0 }))).toMatchObject({ code: 'interrupted' });
    expect((await open({ session, turn: 1 })).turn).toBe(1);
    loader.turn = 0;
  });

  it('sends hold() and keepAlive() in the order of its calls', async () => {
    const push = await open();
    await push.pushVideo(FRAME);
    await push.hold(25);
    await push.keepAlive();
    expect(await push.end()).toMatchObject({ frames: 26 });
    const { breaches, held, alive } = loader.last;
    expect({ breaches, held, alive }).toEqual({ breaches: [], held: 25, alive: 1 });
    await expect(push.hold(1)).rejects.toThrow();
  });

  it('align() fills the shorter track up to the longer one, and to the start of a frame', async () => {
    const push = await open();
    const both = async () => {
      for (let frame = 0; frame < 25; frame++) {
        await push.pushAudio(new Int16Array(960));
        await push.pushVideo(FRAME);
      }
      await push.align();
    };
    await both();
    await push.pushAudio(new Int16Array(24_000));
    await push.align();
    await both();
    await push.pushVideo(FRAME);
    await push.pushAudio(new Int16Array(961));
    await push.align();
    await push.fill(4000);
    await push.align();
    await push.end();
    // After one second of audio only, and after a frame and one sample more than its audio.
    expect(loader.last).toMatchObject({ filled: [2000, 3080, 4000], breaches: [] });
  });

  it('pushText() sends text from where the audio is, or from where it is told', async () => {
    const push = await open();
    await push.pushAudio(new Int16Array(24_000));
    await push.pushText('Hello', { untilMs: 1500 });
    await push.pushText('you', { atMs: 1500, untilMs: 2000 });
    await push.end();
    expect(loader.last.texts).toEqual([
      { text: 'Hello', atMs: 1000, untilMs: 1500 },
      { text: 'you', atMs: 1500, untilMs: 2000 },
    ]);
  });

  it('copies its input before it returns', async () => {
    loader.keepFrames = true;
    const push = await open();
    const frame = FRAME.slice();
    const first = push.pushVideo(frame);
    frame.fill(9);
    await Promise.all([first, push.pushVideo(frame)]);
    await push.end();
    loader.keepFrames = false;
    expect(loader.last.frames.map(([pixel]) => pixel)).toEqual([7, 9]);
  });

  it('accepts views into larger buffers, and float samples', async () => {
    const push = await open({ sampleFormat: 'f32', sampleRate: 48_000 });
    await push.pushAudio(new Float32Array([9, 0.5, -0.5, 9]).subarray(1, 3));
    await push.end();
    const [bytes] = loader.last.audio;
    expect([bytes?.length, bytes?.readFloatLE(0), bytes?.readFloatLE(4)]).toEqual([8, 0.5, -0.5]);
  });

  it('resolves later when the loader does not keep up', async () => {
    const push = await open({ width: 1280, height: 720 });
    const frame = new Uint8Array(1280 * 720 * 3);
    loader.last.stall();
    let pushed = 0;
    const producing = (async () => {
      for (; pushed < 40; pushed++) await push.pushVideo(frame);
    })();
    await vi.waitUntil(() => push.bufferedBytes > 2_000_000, PATIENCE);
    await sleep(100);
    const stalledAt = pushed;
    expect(stalledAt).toBeLessThan(20);
    expect(push.bufferedBytes).toBeLessThan(6_000_000);
    loader.last.resume();
    await producing;
    expect(await push.end()).toMatchObject({ frames: 40 });
  });

  it('rejects if calls are not awaited and too much is buffered', async () => {
    const push = await open({ width: 1920, height: 1080 });
    loader.last.stall();
    const frame = new Uint8Array(1920 * 1080 * 3);
    const results = Array.from({ length: 40 }, () => push.pushVideo(frame));
    const outcomes = Promise.allSettled(results);
    expect((await errorOf(results[39] as Promise<void>)).code).toBe('push_overrun');
    push.cancel();
    await outcomes;
  });

  it('aborts `interrupted` when its speech is interrupted, and may continue', async () => {
    const push = await open();
    await push.pushVideo(FRAME);
    loader.last.send({ type: 'interrupted', positionMs: 1234 });
    await new Promise((resolve) => push.interrupted.addEventListener('abort', resolve));
    expect(push.interruptedAtMs).toBe(1234);
    await push.pushVideo(FRAME);
    expect(await push.end()).toMatchObject({ frames: 2 });
  });

  it("reports the loader's progress", async () => {
    const { promise, resolve } = Promise.withResolvers();
    const push = await open({ onStatus: (status) => status.framesReceived > 0 && resolve(status) });
    await push.pushVideo(FRAME);
    expect(await promise).toMatchObject({ framesReceived: 1, lagMs: 0 });
    expect(push.status?.framesReceived).toBe(1);
    await push.end();
  });

  it("rejects with the loader's code, before and after the start", async () => {
    loader.rejection = 'avatar_not_found';
    const rejected = await errorOf(open());
    expect(rejected).toBeInstanceOf(ProducerError);
    expect(rejected).toMatchObject({ code: 'avatar_not_found', status: 404, retryAfterSeconds: 3 });
    const stranger = new Humancast({ apiKey: 'another key', loaderUrl: loader.url });
    expect((await errorOf(stranger.live(FORMAT))).code).toBe('unauthorized');

    const cut = await open();
    loader.last.reject('session_ended', 'the session has ended');
    await vi.waitUntil(() => loader.last.outcome === 'gone', PATIENCE);
    expect(await errorOf(cut.pushVideo(FRAME))).toMatchObject({ code: 'session_ended' });
    expect(await errorOf(cut.end())).toMatchObject({ code: 'session_ended' });
  });

  it('rejects if the loader rejects a frame of the wrong size', async () => {
    const push = await open();
    await push.pushVideo(FRAME.subarray(1));
    expect(await errorOf(push.end())).toMatchObject({ code: 'bad_message' });
  });

  it('rejects if the loader disappears', async () => {
    const push = await open();
    loader.last.drop();
    expect((await errorOf(push.end())).code).toBe('connection_lost');
    const unreachable = new Humancast({ apiKey: 'x', loaderUrl: 'http://127.0.0.1:9' });
    expect((await errorOf(unreachable.live(FORMAT))).code).toBe('unreachable');
  });

  it('cancels on request, repeatedly or by its signal', async () => {
    const push = await open();
    push.cancel();
    push.cancel();
    await vi.waitUntil(() => loader.last.outcome === 'gone', PATIENCE);
    const abort = new AbortController();
    const other = await open({ signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(other.pushVideo(FRAME)).rejects.toThrow('enough');
    await vi.waitUntil(() => loader.last.outcome === 'gone', PATIENCE);
    await expect(open({ signal: abort.signal })).rejects.toThrow('enough');
  });

  it('rejects calls after its end', async () => {
    const push = await open();
    const end = push.end();
    await expect(push.pushVideo(FRAME)).rejects.toThrow(TypeError);
    expect(await push.end()).toEqual(await end);
    expect(loader.last.outcome).toBe('end');
  });
});
