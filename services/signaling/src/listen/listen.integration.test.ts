import { type Heard, listenMessageSchema } from '@humancast/protocol';
import { unpackHeard, VoicePublisher } from '@humancast/shared';
import { waitFor } from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { API_KEY, type TestSignaling, TestStack } from '../../testing/start-test-signaling.js';

const PCM = new Int16Array(320).fill(7);
const heard = (frame: number, epoch = 1): Heard => ({ viewer: 'vw_12345678', epoch, frame, atMs: 1000 + 20 * frame });

describe('WS /v1/sessions/:id/listen', () => {
  let stack: TestStack;
  let signaling: TestSignaling;
  let voices: VoicePublisher;
  const sockets: WebSocket[] = [];
  beforeAll(async () => {
    stack = await TestStack.start();
    signaling = await stack.signaling({ listenersPerSession: 2 });
    voices = new VoicePublisher(stack.media);
  });
  afterAll(async () => {
    for (const socket of sockets) socket.terminate();
    await stack.stop();
  });

  async function listen(id: string, auth = API_KEY, query = '') {
    const headers = auth === '' ? {} : { authorization: `Bearer ${auth}` };
    const ws = new WebSocket(`ws://127.0.0.1:${signaling.port}/v1/sessions/${id}/listen${query}`, { headers });
    sockets.push(ws);
    const frames: Heard[] = [];
    const bytes: number[] = [];
    const texts: unknown[] = [];
    const state = { status: undefined as number | undefined, code: undefined as number | undefined };
    ws.on('message', (data: Buffer, isBinary) => {
      if (isBinary) {
        const { heard, pcm } = unpackHeard(data);
        frames.push(heard);
        bytes.push(pcm.length);
      } else texts.push(listenMessageSchema.parse(JSON.parse(data.toString())));
    });
    ws.on('unexpected-response', (_, response) => {
      state.status = response.statusCode;
    });
    ws.on('close', (code) => {
      state.code = code;
    });
    ws.on('error', () => {});
    await waitFor('an answer', () => texts.length > 0 || state.status !== undefined || state.code !== undefined);
    return { ws, frames, bytes, texts, state };
  }

  async function speak(id: string, listener: { frames: Heard[] }): Promise<void> {
    // The subscription is made after the answer, and frames without listeners are left out.
    await waitFor('the first frame', () => {
      voices.publish(id, heard(0), PCM);
      return listener.frames.length > 0;
    });
  }

  it('passes voices on to each listener of the session, and to no other', async () => {
    const [one, other] = [await signaling.makeSession(), await signaling.makeSession()];
    const listeners = [await listen(one.id), await listen(one.id)] as const;
    const stranger = await listen(other.id);
    expect(listeners[0].texts).toEqual([{ type: 'listening', sampleRate: 16_000, frameMs: 20 }]);
    await speak(one.id, listeners[0]);
    voices.publish(one.id, heard(1, 2), PCM);
    voices.publish(one.id, heard(4, 2), PCM);
    for (const { frames } of listeners) {
      await waitFor('the last frame', () => frames.some(({ epoch, frame }) => epoch === 2 && frame === 4));
      expect(frames.at(-1)).toEqual({ ...heard(4, 2), gapMs: 40 });
    }
    expect(stranger.frames).toEqual([]);
  });

  it('has 24 kHz for those that ask for it, and no other rate', async () => {
    const { id } = await signaling.makeSession();
    const listener = await listen(id, API_KEY, '?rate=24000');
    expect(listener.texts).toEqual([{ type: 'listening', sampleRate: 24_000, frameMs: 20 }]);
    await speak(id, listener);
    expect(listener.bytes[0]).toBe(960);
    expect((await listen(id, API_KEY, '?rate=48000')).state.status).toBe(400);
  });

  it('admits a limited number of listeners, and another one when one has left', async () => {
    const { id } = await signaling.makeSession();
    const listeners = [await listen(id), await listen(id)] as const;
    expect((await listen(id)).state.status).toBe(429);
    listeners[0].ws.close();
    await waitFor('the place to be free', async () => (await listen(id)).state.status === undefined);
  });

  it('rejects callers without a key, session tokens, and sessions that do not exist', async () => {
    const { id, token } = await signaling.makeSession();
    expect((await listen(id, '')).state.status).toBe(401);
    expect((await listen(id, token)).state.status).toBe(403);
    expect((await listen('ses_whichIsNowhere')).state.status).toBe(404);
    expect((await listen('nonsense')).state.status).toBe(404);
  });

  it('is closed with session_ended when the session ends, and not opened afterwards', async () => {
    const { id } = await signaling.makeSession();
    const listener = await listen(id);
    await signaling.request('DELETE', `/v1/sessions/${id}`);
    await waitFor('the end', () => listener.state.code === 4410);
    expect(listener.texts.at(-1)).toMatchObject({ type: 'error', code: 'session_ended' });
    expect((await listen(id)).state.status).toBe(410);
  });
});
