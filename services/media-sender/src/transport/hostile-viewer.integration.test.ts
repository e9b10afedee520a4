import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createLogger } from '@humancast/shared';
import { FuzzRandom, mutate } from '@humancast/testkit';
import { afterEach, expect, it } from 'vitest';
import { Message } from 'werift';
import { DtlsTestClient, makeIdentity } from '../../testing/dtls-client.js';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import type { DatagramProblem } from './datagram-problem.js';
import { isDtls } from './dtls-records.js';
import { WebRtcTransport } from './webrtc-transport.js';

const BROKEN_DATAGRAMS = 500;
/** STUN method and class of a check (RFC 8489 §5). */
const BINDING = 1;
const REQUEST = 0;

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

it('a viewer that sends broken datagrams of every kind between its check and its handshake still connects', {
  timeout: 60_000,
}, async () => {
  const problems: DatagramProblem[] = [];
  const connected = Promise.withResolvers<string>();
  const closings: string[] = [];
  const time = { ms: 0 };
  const sockets = loopbackSockets({ onProblem: (problem) => problems.push(problem) });
  const transport = new WebRtcTransport(
    {
      connection: 'c',
      codecs: ['vp8'],
      sockets,
      connectTimeoutMs: 1e9,
      silenceTimeoutMs: 1e9,
      logger: createLogger('test', 'fatal'),
      onProblem: (problem) => problems.push(problem),
      // Datagrams come a tenth of a second apart, so that none is rate-limited.
      clock: { nowMs: () => (time.ms += 100), wallMs: () => Date.now() },
    },
    {
      connected: (codec) => connected.resolve(codec),
      closed: (reason) => closings.push(reason),
      keyframeNeeded: () => {},
      feedback: () => {},
      heard: () => {},
    },
  );
  cleanups.push(() => transport.close());
  cleanups.push(() => sockets.close());
  const offer = await transport.createOffer();
  const identity = makeIdentity();
  const fingerprint = createHash('sha256').update(identity.certificate).digest('hex').toUpperCase();
  await transport.acceptAnswer(
    [
      'v=0',
      'a=group:BUNDLE 1',
      `a=fingerprint:sha-256 ${fingerprint.replace(/..(?=.)/g, '$&:')}`,
      'a=setup:active',
      'a=ice-ufrag:abcd',
      'a=ice-pwd:a-password-of-22-letters',
      'm=audio 0 UDP/TLS/RTP/SAVPF 111',
      'a=mid:0',
      'm=video 9 UDP/TLS/RTP/SAVPF 96',
      'a=mid:1',
      'a=recvonly',
      'a=rtpmap:96 VP8/90000',
      '',
    ].join('\r\n'),
  );

  const usernameFragment = /ice-ufrag:(\S+)/.exec(offer)?.[1];
  const password = /ice-pwd:(\S+)/.exec(offer)?.[1] ?? '';
  const port = Number(/udp \d+ 127\.0\.0\.1 (\d+)/.exec(offer)?.[1]);
  const socket = createSocket('udp4');
  cleanups.push(() => socket.close());
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const check = new Message(BINDING, REQUEST)
    .setAttribute('USERNAME', `${usernameFragment}:abcd`)
    .setAttribute('PRIORITY', 1)
    .setAttribute('ICE-CONTROLLING', 1n)
    .setAttribute('USE-CANDIDATE', null)
    .addMessageIntegrity(Buffer.from(password))
    .addFingerprint().bytes;
  /** A socket keeps the order: once a check is answered, everything before it has been read. */
  const settled = async () => {
    const answered = once(socket, 'message');
    socket.send(check, port, '127.0.0.1');
    await answered;
  };

  const sent: Buffer[] = [];
  const client = new DtlsTestClient({
    identity,
    send: (datagram) => {
      sent.push(datagram);
      socket.send(datagram, port, '127.0.0.1');
    },
  });
  const random = new FuzzRandom(1);
  const disturb = async (corpus: readonly Buffer[]) => {
    const before = problems.length;
    const kinds = [
      ...corpus,
      check,
      Buffer.from([22]),
      Buffer.from('16fefd00000000000000000001', 'hex'),
      Buffer.from([128, 200]),
    ];
    for (let i = 0; i < BROKEN_DATAGRAMS; i++) {
      socket.send(mutate(random.pick(kinds), random, kinds, 1400), port, '127.0.0.1');
      if (i % 20 === 19) await settled();
    }
    expect(problems.length).toBeGreaterThan(before);
  };

  await settled();
  await disturb([]);
  socket.on('message', (datagram) => {
    if (isDtls(datagram)) client.receive(datagram);
  });
  client.start();
  expect(await connected.promise).toBe('vp8');
  await disturb(sent);
  expect(problems.filter(({ reason }) => reason === 'failed')).toEqual([]);
  expect(closings).toEqual([]);
  expect(transport.state).toBe('connected');
});
