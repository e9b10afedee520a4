import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createLogger, systemClock } from '@humancast/shared';
import { answerTo, ReceiverLink, readOffer } from '@humancast/testkit';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import { processCertificate } from './dtls.js';
import { WebRtcTransport } from './webrtc-transport.js';

const WAIT = { timeout: 10_000, interval: 20 };
const STRANGER = 0x5757_5757;
const REPORTER = 0x1111_1111;

beforeAll(() => processCertificate());

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

/** Forwards datagrams to the sender's port and back until it is muted. */
async function openNetwork(senderPort: number) {
  const [towardsViewer, towardsSender] = [createSocket('udp4'), createSocket('udp4')];
  cleanups.push(() => {
    towardsViewer.close();
    towardsSender.close();
  });
  let isMuted = false;
  let viewerPort = 0;
  towardsViewer.on('message', (data, remote) => {
    viewerPort = remote.port;
    if (!isMuted) towardsSender.send(data, senderPort, '127.0.0.1');
  });
  towardsSender.on('message', (data) => {
    if (!isMuted) towardsViewer.send(data, viewerPort, '127.0.0.1');
  });
  towardsViewer.bind(0, '127.0.0.1');
  await once(towardsViewer, 'listening');
  const mute = () => {
    isMuted = true;
  };
  return { port: towardsViewer.address().port, mute };
}

/** A transport, and a viewer with its keys that can send any RTCP. */
async function connect() {
  const closings: string[] = [];
  const problems: string[] = [];
  const offset = { ms: 0 };
  let keyframesNeeded = 0;
  const sockets = loopbackSockets();
  cleanups.push(() => sockets.close());
  const transport = new WebRtcTransport(
    {
      connection: 'connection-1',
      codecs: ['vp8'],
      sockets,
      connectTimeoutMs: 10_000,
      logger: createLogger('test', 'fatal'),
      onProblem: ({ reason }) => problems.push(reason),
      clock: { nowMs: () => systemClock.nowMs() + offset.ms, wallMs: () => systemClock.wallMs() },
    },
    {
      connected: () => {},
      closed: (reason) => closings.push(reason),
      keyframeNeeded: () => keyframesNeeded++,
      feedback: () => {},
      heard: () => {},
    },
  );
  cleanups.push(() => transport.close());
  const sdp = await transport.createOffer();
  const port = Number(/127\.0\.0\.1 (\d+) typ host/.exec(sdp)?.[1]);
  const network = await openNetwork(port);
  const offer = readOffer(sdp.replaceAll(`127.0.0.1 ${port} typ`, `127.0.0.1 ${network.port} typ`));
  const link = await ReceiverLink.open({ offer, iceServers: [], relayOnly: false, onMedia: () => {} });
  cleanups.push(() => link.close());
  await transport.acceptAnswer(answerTo(offer, link.description));
  await link.connect();
  await vi.waitFor(() => expect(transport.state).toBe('connected'), WAIT);
  const ssrc = offer.tracks.find(({ kind }) => kind === 'video')?.ssrc ?? 0;
  const { mute } = network;
  return { transport, link, mute, closings, problems, offset, ssrc, keyframesNeeded: () => keyframesNeeded };
}

function words(...values: readonly number[]): Buffer {
  const packet = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) packet.writeUInt32BE(value >>> 0, 4 * i);
  return packet;
}

const reportOf = (reporter: number, ssrc: number) => words(0x81c9_0007, reporter, ssrc, 0, 0, 0, 0, 0);
/** A compound packet begins with a report (RFC 3550 §6.1). */
const byeOf = (ssrc: number) => Buffer.concat([words(0x80c9_0001, ssrc), words(0x81cb_0001, ssrc)]);
const pliFor = (ssrc: number) => words(0x81ce_0002, REPORTER, ssrc);

/** Waits until everything sent before has been read, by a PLI that is counted. */
async function settle({ transport, link, ssrc }: Awaited<ReturnType<typeof connect>>): Promise<void> {
  const before = transport.stats().plis;
  link.sendRtcp(pliFor(ssrc));
  await vi.waitFor(() => expect(transport.stats().plis).toBe(before + 1), WAIT);
}

describe('a BYE', () => {
  it('of an SSRC without reports does not end the connection', async () => {
    const connected = await connect();
    connected.link.sendRtcp(byeOf(STRANGER));
    await settle(connected);
    connected.offset.ms += 3000;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(connected.closings).toEqual([]);
  });

  it('of a reporting SSRC ends the connection, unless the viewer continues', async () => {
    const connected = await connect();
    const { link, offset, closings, ssrc } = connected;
    link.sendRtcp(reportOf(REPORTER, ssrc));
    link.sendRtcp(byeOf(REPORTER));
    // Another SSRC after a collision (RFC 3550 §8.2).
    link.sendRtcp(reportOf(STRANGER, ssrc));
    await settle(connected);
    offset.ms += 3000;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(closings).toEqual([]);
    link.sendRtcp(byeOf(STRANGER));
    await vi.waitFor(() => expect(closings).toEqual(['closed-by-viewer']), WAIT);
  });
});

describe('authentic RTCP', () => {
  it('is rate-limited', async () => {
    const connected = await connect();
    const { transport, link, problems, ssrc } = connected;
    for (let i = 0; i < 1000; i++) {
      link.sendRtcp(pliFor(ssrc));
      if (i % 50 === 49) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await vi.waitFor(
      () => expect(problems.filter((reason) => reason === 'rate-limited').length).toBeGreaterThan(500),
      WAIT,
    );
    expect(transport.stats().plis).toBeLessThan(300);
    expect(transport.state).toBe('connected');
  });

  it('that names thousands of packets is read only for packets that can be known', async () => {
    const connected = await connect();
    const { transport, link, ssrc } = connected;
    const lost = Array.from({ length: 350 }, (_, i) => ((i * 17) << 16) | 0xffff);
    for (let i = 0; i < 5; i++) link.sendRtcp(words(0x81cd_0000 | (2 + lost.length), REPORTER, ssrc, ...lost));
    await settle(connected);
    expect(transport.stats().nacks).toBe(5 * 1024);
    expect(transport.stats().retransmitted).toBe(0);
  });
});

describe('RTP of a viewer that may not speak', () => {
  it('is dropped, counted, and proves nothing', async () => {
    const connected = await connect();
    const { link, problems } = connected;
    for (let i = 0; i < 40; i++) link.sendDatagram(words(0x806f_0000 | i, 960 * i, STRANGER, 0, 0, 0, 0, 0));
    await settle(connected);
    expect(problems.filter((reason) => reason === 'not-negotiated').length).toBe(40);
  });
});

describe('silence', () => {
  it('ends a connection after 30 s, and not before (RFC 7675)', async () => {
    const connected = await connect();
    const { offset, closings, mute } = connected;
    await settle(connected);
    mute();
    offset.ms += 25_000;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(closings).toEqual([]);
    offset.ms += 5500;
    await vi.waitFor(() => expect(closings).toEqual(['silent']), WAIT);
  });
});
