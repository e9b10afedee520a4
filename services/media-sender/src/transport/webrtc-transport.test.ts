import { createLogger } from '@humancast/shared';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import { transportFeedback } from '../../testing/network-simulator.js';
import { AUDIO_BPS } from '../congestion/redundancy-control.js';
import { ABS_SEND_TIME_URI, TRANSPORT_SEQUENCE_URI } from '../rtp/congestion-extension.js';
import { processCertificate } from './dtls.js';
import { WebRtcTransport } from './webrtc-transport.js';

const BOTH = [TRANSPORT_SEQUENCE_URI, ABS_SEND_TIME_URI];

function offer({ audio, video }: { audio: readonly string[] | undefined; video: readonly string[] }): string {
  const extensions = (uris: readonly string[]) => uris.map((uri, i) => `a=extmap:${i + 1} ${uri}`);
  const lines = [
    'v=0',
    'o=- 1 1 IN IP4 127.0.0.1',
    's=-',
    't=0 0',
    `a=group:BUNDLE 0${audio ? ' 1' : ''}`,
    `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
    'a=ice-ufrag:abcd',
    'a=ice-pwd:abcdefghijklmnopqrstuvwx',
    'a=setup:actpass',
    'm=video 9 UDP/TLS/RTP/SAVPF 96',
    'c=IN IP4 0.0.0.0',
    'a=mid:0',
    'a=recvonly',
    'a=rtcp-mux',
    'a=rtpmap:96 VP8/90000',
    ...extensions(video),
    ...(audio
      ? [
          'm=audio 9 UDP/TLS/RTP/SAVPF 111',
          'c=IN IP4 0.0.0.0',
          'a=mid:1',
          'a=recvonly',
          'a=rtcp-mux',
          'a=rtpmap:111 opus/48000/2',
        ]
      : []),
    ...extensions(audio ?? []),
  ];
  return lines.map((line) => `${line}\r\n`).join('');
}

describe('audioBps, the part of the estimate that audio takes', () => {
  const sockets = loopbackSockets();
  const transports: WebRtcTransport[] = [];
  beforeAll(() => processCertificate());
  afterAll(() => sockets.close());
  afterEach(() => {
    for (const transport of transports.splice(0)) transport.close('left');
  });

  async function transportFor(sections: Parameters<typeof offer>[0]): Promise<WebRtcTransport> {
    const transport = new WebRtcTransport(
      {
        connection: 'connection-1',
        codecs: ['vp8'],
        sockets,
        connectTimeoutMs: 10_000,
        logger: createLogger('test', 'fatal'),
      },
      { connected: () => {}, closed: () => {}, keyframeNeeded: () => {}, feedback: () => {}, heard: () => {} },
    );
    transports.push(transport);
    await transport.answerOffer(offer(sections));
    return transport;
  }

  function estimateBy(source: 'transport-cc' | 'remb' | 'receiver-reports', { bandwidth }: WebRtcTransport): void {
    if (source === 'remb') bandwidth.remb(300_000, 0);
    if (source !== 'transport-cc') return;
    const sequence = bandwidth.packetSent(1200, false, 0);
    bandwidth.transportFeedback(transportFeedback([[sequence, 10]]), 20);
  }

  it.each([
    { source: 'transport-cc', sections: { audio: BOTH, video: BOTH }, counts: true },
    // As Firefox negotiates.
    { source: 'transport-cc', sections: { audio: [], video: BOTH }, counts: false },
    { source: 'remb', sections: { audio: [], video: BOTH }, counts: false },
    { source: 'remb', sections: { audio: [], video: [] }, counts: true },
    { source: 'receiver-reports', sections: { audio: [], video: BOTH }, counts: true },
    { source: 'receiver-reports', sections: { audio: undefined, video: BOTH }, counts: false },
  ] as const)('is its bitrate only if $source includes audio: $sections', async ({ source, sections, counts }) => {
    const transport = await transportFor(sections);
    estimateBy(source, transport);
    expect(transport.bandwidth.source).toBe(source);
    expect(transport.audioBps).toBe(counts ? AUDIO_BPS : 0);
  });
});
