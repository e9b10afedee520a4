import type { ErrorCode, Heard } from '@humancast/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { FakeListen } from '../testing/fake-listen.js';
import { Humancast } from './humancast.js';

const SESSION = 'ses_12345678';
const FRAMES: Heard[] = [0, 1, 2].map((frame) => ({ viewer: 'vw_12345678', epoch: 1, frame, atMs: 1000 + 20 * frame }));

const servers: FakeListen[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function open(end: ErrorCode) {
  const server = await FakeListen.start(FRAMES, end);
  servers.push(server);
  return { server, humancast: new Humancast({ apiKey: 'the-key', signalingUrl: server.url }) };
}

describe('Humancast.listen()', () => {
  it('yields each frame with its PCM, and returns when the session has ended', async () => {
    const { server, humancast } = await open('session_ended');
    const heard = [];
    for await (const frame of humancast.listen(SESSION)) heard.push(frame);
    expect(heard).toEqual(FRAMES.map((frame, i) => ({ ...frame, pcm: new Int16Array(320).fill(i - 1) })));
    expect(server.listeners).toEqual([{ path: `/v1/sessions/${SESSION}/listen`, authorization: 'Bearer the-key' }]);
  });

  it('asks for the rate that it was told', async () => {
    const { server, humancast } = await open('session_ended');
    for await (const { pcm } of humancast.listen(SESSION, { rate: 24_000 })) expect(pcm).toHaveLength(320);
    expect(server.listeners[0]?.path).toBe(`/v1/sessions/${SESSION}/listen?rate=24000`);
  });

  it('throws the code with which signaling closes, after what was heard before', async () => {
    const { humancast } = await open('unavailable');
    const heard: number[] = [];
    const listening = (async () => {
      for await (const { frame } of humancast.listen(SESSION)) heard.push(frame);
    })();
    await expect(listening).rejects.toMatchObject({ code: 'unavailable' });
    expect(heard).toEqual([0, 1, 2]);
  });

  it('throws connection_lost if nobody answers, and the reason of its signal', async () => {
    const { server, humancast } = await open('session_ended');
    server.close();
    await expect(humancast.listen(SESSION).next()).rejects.toMatchObject({ code: 'connection_lost' });
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(humancast.listen(SESSION, { signal }).next()).rejects.toThrow('enough');
  });
});
