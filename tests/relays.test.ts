import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import {
  LightViewer,
  makePlainClip,
  Producer,
  startStack,
  startTurn,
  startUdpImpairment,
  type TestTurn,
  waitFor,
} from '@humancast/testkit';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Scene } from './support/scene.ts';

/** Enough that each relay gets some. */
const VIEWERS = 16;

/** Two coturns with one secret, of which signaling assigns one to each viewer. */
describe('viewers of two relays', () => {
  const cleanups: (() => unknown)[] = [];
  const turns: TestTurn[] = [];
  const viewers: LightViewer[] = [];

  beforeAll(async () => {
    const secret = randomBytes(16).toString('hex');
    for (const address of ['127.0.0.1', '127.0.0.2']) {
      const turn = await startTurn({ address, peerAddress: '127.0.0.1', secret });
      cleanups.push(() => turn.stop());
      turns.push(turn);
    }
    const stack = await startStack({
      turn: false,
      env: { TURN_URLS: turns.map((turn) => turn.url()).join(','), TURN_SECRET: secret },
    });
    cleanups.push(() => stack.stop());
    await makePlainClip(join(stack.mediaDir, 'relayed/idle/idle.mov'), {
      seconds: 3,
      fps: 25,
      size: '320x240',
      color: 'gray',
    });
    const producer = new Producer(stack);
    const { id, token } = await producer.createSession('relayed');
    for (let i = 0; i < VIEWERS; i++) {
      const viewer = new LightViewer({ signalingUrls: stack.signalingUrls, session: id, token });
      cleanups.push(() => viewer.close());
      viewers.push(viewer);
    }
    await allPlay();
  });

  afterAll(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  });

  const relayOf = ({ record }: LightViewer) => record.links.at(-1)?.relay;
  const playing = () => viewers.filter((viewer) => viewer.playing).length;
  const allPlay = () =>
    waitFor(
      'all viewers play',
      async () => playing(),
      (count) => count === VIEWERS,
      60_000,
    );

  it('are spread over both, and those of one that dies come back over the other', async () => {
    const [dying, other] = turns.map((turn) => turn.url());
    const before = viewers.map(relayOf);
    expect(new Set(before)).toEqual(new Set([dying, other]));
    const isMoved = before.map((relay) => relay === dying);
    await turns[0]?.stop();
    await waitFor(
      'the viewers of the dead relay to come back',
      async () => viewers.map(relayOf),
      (relays) => relays.every((relay) => relay === other),
      60_000,
    );
    await allPlay();
    expect(viewers.map(({ record }) => record.links.length > 1)).toEqual(isMoved);
  });
});

describe('media from a relay', () => {
  const cleanups: (() => unknown)[] = [];
  afterAll(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  });

  it('reaches Chromium over a channel (RFC 8656 §12), which saves 32 bytes a packet', async () => {
    const turn = await startTurn();
    cleanups.push(() => turn.stop());
    const counts = { channelData: 0, indications: 0 };
    const path = await startUdpImpairment({
      targetPort: turn.port,
      profile: 'delay=0ms',
      onDown: (data) => {
        // The first two bits of ChannelData are 01; a Data indication is a STUN message of type 0x0017.
        if ((data[0] ?? 0) >> 6 === 1) counts.channelData++;
        else if (data.readUInt16BE(0) === 0x0017) counts.indications++;
      },
    });
    cleanups.push(() => path.close());
    const url = `turn:127.0.0.1:${path.port}?transport=udp`;
    const scene = await Scene.start({ turn: false, env: { TURN_URLS: url, TURN_SECRET: turn.secret } });
    cleanups.push(() => scene.stop());
    const viewer = await scene.watch(await scene.producer.createSession('lights'));
    Object.assign(counts, { channelData: 0, indications: 0 });
    await waitFor(
      'media arrives',
      async () => counts.channelData + counts.indications,
      (packets) => packets > 200,
    );
    expect(counts.indications).toBe(0);
    await viewer.page.close();
  });
});
