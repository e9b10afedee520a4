import { createSocket, type Socket } from 'node:dgram';
import { readdirSync } from 'node:fs';
import { Encoder } from '@evan/opus';
import { type Codec } from '@humancast/protocol';
import { createLogger } from '@humancast/shared';
import { encodeClip, launchChromium, startTurn, type TestChromium, waitFor } from '@humancast/testkit';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loopbackSockets } from '../../testing/loopback-sockets.js';
import type { HeardFrame } from '../receive/audio-receiver.js';
import { AudioPacket } from '../rtp/audio-packet.js';
import { packetize } from '../rtp/packetize.js';
import type { PacketizedFrame } from '../rtp/packetized-frame.js';
import { processCertificate } from './dtls.js';
import type { MediaSockets } from './media-sockets.js';
import { choosePacketPath } from './packet-path.js';
import type { Feedback, TransportEvents } from './viewer-transport.js';
import { WebRtcTransport, type WebRtcTransportOptions } from './webrtc-transport.js';

const FPS = 30;
/** The sockets of all connections: tests of sending run on both packet paths, all others on the first. */
const [SOCKETS, JAVASCRIPT_SOCKETS] = (['auto', 'javascript'] as const).map((path) =>
  loopbackSockets({ packetPath: choosePacketPath(path) }),
) as [MediaSockets, MediaSockets];
let browser: TestChromium;
const clips = new Map<Codec, PacketizedFrame[]>();

beforeAll(async () => {
  await processCertificate();
  browser = await launchChromium();
  for (const codec of ['vp8', 'h264'] as const) {
    const frames = await encodeClip({ codec, fps: FPS, seconds: 2 });
    clips.set(
      codec,
      frames.map(({ data, keyframe }) => packetize(codec, data, keyframe)),
    );
  }
});

afterAll(async () => {
  await browser?.close();
  for (const sockets of [SOCKETS, JAVASCRIPT_SOCKETS]) sockets.close();
});

const cleanups: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Records a transport's events. */
class Recorder implements TransportEvents {
  codec: Codec | undefined;
  closeReasons: string[] = [];
  keyframesNeeded = 0;
  reports: Feedback[] = [];
  frames: (Omit<HeardFrame, 'pcm'> & { level: number })[] = [];

  connected(codec: Codec) {
    this.codec = codec;
  }

  closed(reason: string) {
    this.closeReasons.push(reason);
  }

  keyframeNeeded() {
    this.keyframesNeeded++;
  }

  feedback(feedback: Feedback) {
    this.reports.push(feedback);
  }

  heard({ pcm, ...frame }: HeardFrame) {
    this.frames.push({ ...frame, level: Math.sqrt(pcm.reduce((sum, s) => sum + s * s, 0) / pcm.length) });
  }
}

function createTransport(options: Partial<WebRtcTransportOptions> = {}) {
  const events = new Recorder();
  const transport = new WebRtcTransport(
    {
      connection: 'connection-1',
      codecs: ['vp8', 'h264'],
      sockets: SOCKETS,
      connectTimeoutMs: 10_000,
      logger: createLogger('test', 'fatal'),
      ...options,
    },
    events,
  );
  cleanups.push(() => transport.close());
  return { transport, events };
}

/** Plays a clip in a loop as a session does: due times from one start, ticks from the position. */
function play(transport: WebRtcTransport, codec: Codec, firstFrame = 0) {
  const frames = clips.get(codec) ?? [];
  const opus = encodeTone();
  const startMs = performance.now();
  const startNtp = ntpOf(Date.now());
  let frame = 0;
  let packet = 0;
  let audio: AudioPacket | undefined;
  let reportAtMs = 0;
  const timer = setInterval(() => {
    const elapsedMs = performance.now() - startMs;
    for (; (frame * 1000) / FPS <= elapsedMs; frame++) {
      const data = frames[(firstFrame + frame) % frames.length];
      if (data) transport.sendVideo(data, (frame * 90_000) / FPS);
    }
    for (; packet * 20 <= elapsedMs; packet++) {
      audio = new AudioPacket(opus, packet * 960, audio);
      transport.sendAudio(audio);
    }
    if (elapsedMs >= reportAtMs) {
      reportAtMs = elapsedMs + 500;
      transport.sendReports(startNtp + ntpSpan(elapsedMs), Math.round(elapsedMs * 90), Math.round(elapsedMs * 48));
    }
  }, 5);
  cleanups.push(() => clearInterval(timer));
}

function encodeTone(): Buffer {
  const encoder = new Encoder({ channels: 1, sample_rate: 48_000, application: 'voip' });
  const tone = Int16Array.from({ length: 960 }, (_, i) => 8000 * Math.sin((2 * Math.PI * 1000 * i) / 48_000));
  return Buffer.from(encoder.encode(Buffer.from(tone.buffer)));
}

const ntpSpan = (ms: number) => BigInt(Math.round((ms / 1000) * 2 ** 32));
const ntpOf = (unixMs: number) => ntpSpan(unixMs) + (2_208_988_800n << 32n);

interface ViewerOptions {
  iceServers?: { urls: string[]; username: string; credential: string }[];
  relayOnly?: boolean;
  /** Whether the page sends a tone as its microphone. */
  speaks?: boolean;
}

async function openPage(): Promise<Page> {
  const page = await browser.context.newPage();
  cleanups.push(() => page.close());
  await page.evaluate(() => {
    const watch = (peer: RTCPeerConnection) => {
      peer.ontrack = ({ track, streams }) => {
        if (track.kind !== 'video') return;
        const element = document.createElement('video');
        element.autoplay = true;
        element.srcObject = streams[0] ?? null;
        document.body.append(element);
      };
    };
    Object.assign(globalThis, { watch });
  });
  return page;
}

declare const pc: RTCPeerConnection;
declare const watch: (peer: RTCPeerConnection) => void;

/** Opens a browser page that answers the offer. */
async function openViewer(offer: string, { iceServers = [], relayOnly = false, speaks = false }: ViewerOptions = {}) {
  const page = await openPage();
  const answer = await page.evaluate(
    async ([sdp, servers, policy, withTone]) => {
      const peer = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: policy });
      Object.assign(globalThis, { pc: peer });
      watch(peer);
      await peer.setRemoteDescription({ type: 'offer', sdp });
      const audio = peer.getTransceivers().find(({ receiver }) => receiver.track.kind === 'audio');
      if (withTone && audio) {
        audio.direction = 'sendrecv';
        const context = new AudioContext();
        const output = context.createMediaStreamDestination();
        const tone = new OscillatorNode(context, { frequency: 300 });
        tone.connect(output);
        tone.start();
        await audio.sender.replaceTrack(output.stream.getAudioTracks()[0] ?? null);
      }
      await peer.setLocalDescription();
      return peer.localDescription?.sdp ?? '';
    },
    [offer, iceServers, relayOnly ? 'relay' : 'all', speaks] as const,
  );
  return { page, answer };
}

/** A transport and a viewer, connected and playing. */
async function watching(
  options: Partial<WebRtcTransportOptions> & ViewerOptions & { through?: (offer: string) => Promise<string> } = {},
) {
  const { through = async (offer) => offer, iceServers, relayOnly, speaks, ...transportOptions } = options;
  const { transport, events } = createTransport(transportOptions);
  const offer = await through(await transport.createOffer());
  const { page, answer } = await openViewer(offer, {
    ...(iceServers && { iceServers }),
    ...(relayOnly !== undefined && { relayOnly }),
    ...(speaks !== undefined && { speaks }),
  });
  await transport.acceptAnswer(answer);
  await waitFor('connected', () => events.codec !== undefined);
  return { transport, events, page };
}

/** @returns statistics of one type and kind. */
async function statsOf(page: Page, type: string, kind: string): Promise<Record<string, number>> {
  return page.evaluate(
    async ([wantedType, wantedKind]) => {
      const found = [...(await pc.getStats()).values()].find((s) => s.type === wantedType && s.kind === wantedKind);
      return { ...found };
    },
    [type, kind] as const,
  );
}

const videoStats = (page: Page) => statsOf(page, 'inbound-rtp', 'video');

async function decodes(page: Page, frames: number) {
  const before = (await videoStats(page))['framesDecoded'] ?? 0;
  await waitFor(`${frames} more frames decoded`, async () => {
    return ((await videoStats(page))['framesDecoded'] ?? 0) >= before + frames;
  });
}

interface Obstacles {
  /** Whether to drop a packet of the sender. */
  drops?: (packet: Buffer) => boolean;
  dropsOfViewer?: (packet: Buffer) => boolean;
  /** Delay in each direction. */
  delayMs?: number;
  /** Gets a function that changes the viewer's address, as a NAT rebinding does. @returns the new port. */
  rebinds?: (rebind: () => Promise<number>) => void;
}

/** Opens a proxy between a viewer and the only candidate of an offer. @returns the offer with the proxy as the candidate. */
async function standBetween(offer: string, obstacles: Obstacles): Promise<string> {
  const { drops = () => false, dropsOfViewer = () => false, delayMs = 0, rebinds } = obstacles;
  const senderPort = Number(/127\.0\.0\.1 (\d+) typ host/.exec(offer)?.[1]);
  const towardsViewer = createSocket('udp4');
  let towardsSender = createSocket('udp4');
  let open = true;
  let viewer: { port: number; address: string } | undefined;
  const forward = (from: Socket, data: Buffer, port: number, address: string) => {
    const send = () => open && from.send(data, port, address);
    if (delayMs > 0) setTimeout(send, delayMs);
    else send();
  };
  towardsViewer.on('message', (data, remote) => {
    viewer = remote;
    if (!dropsOfViewer(data)) forward(towardsSender, data, senderPort, '127.0.0.1');
  });
  const listen = () =>
    towardsSender.on('message', (data) => {
      if (viewer && !drops(data)) forward(towardsViewer, data, viewer.port, viewer.address);
    });
  listen();
  rebinds?.(async () => {
    towardsSender.close();
    towardsSender = createSocket('udp4');
    listen();
    await new Promise<void>((resolve) => towardsSender.bind(0, '127.0.0.1', resolve));
    return towardsSender.address().port;
  });
  await new Promise<void>((resolve) => towardsViewer.bind(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    open = false;
    towardsViewer.close();
    towardsSender.close();
  });
  return offer.replaceAll(`127.0.0.1 ${senderPort} typ`, `127.0.0.1 ${towardsViewer.address().port} typ`);
}

const payloadTypeOf = (packet: Buffer) => (packet.readUInt8(0) >> 6 === 2 ? packet.readUInt8(1) & 0x7f : undefined);
const VP8 = 96;
const OPUS = 111;
const RED = 63;
const isAudio = (packet: Buffer) => [OPUS, RED].includes(payloadTypeOf(packet) ?? 0);
const VP8_RTX = 97;

describe('a viewer in Chromium', () => {
  it.each([
    { codec: 'vp8', sockets: SOCKETS },
    { codec: 'h264', sockets: SOCKETS },
    { codec: 'vp8', sockets: JAVASCRIPT_SOCKETS },
  ] as const)('connects directly and decodes $codec ($sockets.packetPath.kind path)', async ({ codec, sockets }) => {
    const { transport, events, page } = await watching({ codecs: [codec], sockets });
    expect(events.codec).toBe(codec);
    play(transport, codec);
    await decodes(page, 45);
    expect(await videoStats(page)).toMatchObject({ frameWidth: 640, frameHeight: 360, packetsLost: 0 });
    expect((await statsOf(page, 'inbound-rtp', 'audio'))['totalAudioEnergy']).toBeGreaterThan(0.001);
    expect(transport.stats()).toMatchObject({ packetsDropped: 0, retransmitted: 0 });
  });

  it('is heard by its microphone, with redundancy against losses, if it may speak', { timeout: 60_000 }, async () => {
    const { transport, events, page } = await watching({
      microphone: true,
      speaks: true,
      through: (offer) => {
        let packets = 0;
        return standBetween(offer, { dropsOfViewer: (packet) => isAudio(packet) && ++packets % 10 === 0 });
      },
    });
    play(transport, 'vp8');
    await waitFor('two seconds of the tone', () => events.frames.filter(({ level }) => level > 500).length > 100);
    const { microphonePackets, microphoneConcealedMs } = transport.stats();
    expect(microphonePackets).toBeGreaterThan(90);
    expect(microphoneConcealedMs).toBeLessThan(100);
    const steps = events.frames.slice(1).map(({ atMs }, i) => atMs - (events.frames[i]?.atMs ?? 0));
    // A browser on a busy machine leaves out some itself.
    expect(steps.filter((ms) => Math.abs(ms - 20) > 1).length).toBeLessThan(steps.length / 4);
    await waitFor('our report of the losses', async () => {
      const remote = await statsOf(page, 'remote-inbound-rtp', 'audio');
      return (remote['packetsLost'] ?? 0) > 0 && remote['roundTripTime'] !== undefined;
    });
    await decodes(page, 10);
  });

  it('is not heard if it may not speak: audio stays send-only', async () => {
    const { transport, events, page } = await watching({ speaks: true });
    play(transport, 'vp8');
    await decodes(page, 45);
    expect(await page.evaluate(() => pc.getTransceivers().map(({ currentDirection }) => currentDirection))).toEqual([
      'recvonly',
      'recvonly',
    ]);
    expect(events.frames).toEqual([]);
  });

  it('gets the first of our codecs that it supports', async () => {
    const { events } = await watching({ codecs: ['h264', 'vp8'] });
    expect(events.codec).toBe('h264');
  });

  it.each(['udp', 'tcp'] as const)('watches through a TURN relay over %s', async (protocol) => {
    const turn = await startTurn();
    cleanups.push(() => turn.stop());
    const { transport, page } = await watching({ relayOnly: true, iceServers: [turn.iceServer(protocol)] });
    play(transport, 'vp8');
    await decodes(page, 45);
    expect(await videoStats(page)).toMatchObject({ packetsLost: 0 });
  });

  it('synchronizes both tracks by our sender reports and sends receiver reports', async () => {
    const { transport, events, page } = await watching();
    play(transport, 'vp8');
    await waitFor('playout of both tracks estimated', async () => {
      const [audio, video] = await Promise.all([statsOf(page, 'inbound-rtp', 'audio'), videoStats(page)]);
      return audio['estimatedPlayoutTimestamp'] !== undefined && video['estimatedPlayoutTimestamp'] !== undefined;
    });
    const remote = await statsOf(page, 'remote-outbound-rtp', 'video');
    expect(remote['reportsSent']).toBeGreaterThan(1);
    expect(Math.abs((remote['remoteTimestamp'] ?? 0) - Date.now())).toBeLessThan(5000);
    await waitFor('feedback on both tracks', () => new Set(events.reports.map(({ kind }) => kind)).size === 2);
    await waitFor('a round trip measured', () => transport.stats().roundTripMs !== undefined);
    expect(transport.stats().roundTripMs).toBeLessThan(1000);
    const tracks = await page.evaluate(() => pc.getReceivers().map(({ track }) => track.kind));
    expect(tracks.sort()).toEqual(['audio', 'video']);
    const together = await page.evaluate(() => {
      const stream = document.querySelector('video')?.srcObject;
      return stream instanceof MediaStream ? stream.getTracks().length : 0;
    });
    expect(together).toBe(2);
  });

  it('reports the arrival of packets of both tracks, which yields a bandwidth estimate', async () => {
    const { transport, events, page } = await watching();
    transport.bandwidth.want(3_000_000);
    play(transport, 'vp8');
    await waitFor('an estimate by transport-wide feedback', () => transport.stats().estimateSource === 'transport-cc');
    await decodes(page, 45);
    expect(transport.bandwidth.rejected).toBe(0);
    expect(transport.bandwidth.lossRate).toBe(0);
    expect(transport.stats().estimateBps).toBeGreaterThan(100_000);
    expect(events.closeReasons).toEqual([]);
  });

  it('counts padding as retransmitted packets', async () => {
    const { transport, page } = await watching();
    play(transport, 'vp8');
    await decodes(page, 10);
    for (let i = 0; i < 20; i++) expect(transport.sendPadding()).toBeGreaterThan(0);
    await decodes(page, 30);
    expect(await videoStats(page)).toMatchObject({ packetsLost: 0 });
    expect((await videoStats(page))['retransmittedPacketsReceived']).toBeGreaterThanOrEqual(20);
  });

  it('requests a keyframe when it has none', async () => {
    const { transport, events, page } = await watching();
    play(transport, 'vp8', 5);
    await waitFor('a keyframe asked for', () => events.keyframesNeeded > 0);
    expect(transport.stats().plis).toBeGreaterThanOrEqual(events.keyframesNeeded);
    await decodes(page, 30);
  });

  it.each([SOCKETS, JAVASCRIPT_SOCKETS])(
    'gets lost packets again and shows every frame ($packetPath.kind path)',
    async (sockets) => {
      let sent = 0;
      const { transport, page } = await watching({
        sockets,
        through: (offer) =>
          standBetween(offer, { drops: (packet) => payloadTypeOf(packet) === VP8 && ++sent % 20 === 0 }),
      });
      play(transport, 'vp8');
      await decodes(page, 90);
      const stats = await videoStats(page);
      expect(stats['retransmittedPacketsReceived']).toBeGreaterThan(5);
      expect(stats['pliCount']).toBe(0);
      expect(transport.stats().retransmitted).toBeGreaterThan(5);
      expect(transport.stats().nacks).toBeGreaterThanOrEqual(transport.stats().retransmitted);
    },
  );

  it('gets lost audio packets again unchanged', async () => {
    const seen = new Map<number, Buffer>();
    const repeated: (readonly [Buffer | undefined, Buffer])[] = [];
    const { transport, page } = await watching({
      through: (offer) =>
        standBetween(offer, {
          drops: (packet) => {
            if (!isAudio(packet)) return false;
            const sequence = packet.readUInt16BE(2);
            const isNew = !seen.has(sequence);
            if (isNew) seen.set(sequence, packet);
            else repeated.push([seen.get(sequence), packet]);
            return isNew && sequence % 10 === 0;
          },
        }),
    });
    play(transport, 'vp8');
    await waitFor('retransmitted audio', () => transport.stats().audioRetransmitted > 5);
    await decodes(page, 15);
    for (const [first, again] of repeated) expect(again).toEqual(first);
    const { audioNacks, audioRetransmitted } = transport.stats();
    expect(audioNacks).toBeGreaterThanOrEqual(audioRetransmitted);
    expect((await statsOf(page, 'inbound-rtp', 'audio'))['packetsLost']).toBeLessThan(3);
    expect(transport.bandwidth.rejected).toBe(0);
  });

  it('recovers a lost audio packet from the next one after losses were reported', async () => {
    let isLossy = false;
    const { transport, page } = await watching({
      through: (offer) =>
        // Whether each packet is dropped when it is sent.
        standBetween(offer, { drops: (packet) => isLossy && isAudio(packet) && packet.readUInt16BE(2) % 10 === 0 }),
    });
    play(transport, 'vp8');
    await decodes(page, 30);
    expect(transport.stats().redundantPackets).toBe(0);
    isLossy = true;
    await waitFor('redundancy', () => transport.stats().redundantPackets > 25);
    // A second in which even a busy machine sends in time: each loss would have been concealed.
    let last = await statsOf(page, 'inbound-rtp', 'audio');
    await waitFor('losses without concealment', async () => {
      await decodes(page, 30);
      const now = await statsOf(page, 'inbound-rtp', 'audio');
      const grown = (name: string) => (now[name] ?? 0) - (last[name] ?? 0);
      const isUnheard = grown('packetsLost') >= 3 && grown('concealedSamples') === 0;
      last = now;
      return isUnheard;
    });
  });

  it('recovers after a loss that could not be repaired', async () => {
    let sent = 0;
    let lost = 0;
    const { transport, page } = await watching({
      through: (offer) =>
        standBetween(offer, {
          drops: (packet) => {
            const payloadType = payloadTypeOf(packet);
            if (payloadType === VP8) sent++;
            const drop = sent > 60 && lost < 40 && (payloadType === VP8 || payloadType === VP8_RTX);
            if (drop) lost++;
            return drop;
          },
        }),
    });
    play(transport, 'vp8');
    await decodes(page, 90);
    expect(lost).toBe(40);
    expect(transport.stats().nacks).toBeGreaterThan(0);
  });

  it('connects and decodes over a slow path that loses every tenth packet in both directions', async () => {
    let [down, up] = [0, 0];
    const { transport, page } = await watching({
      through: (offer) =>
        standBetween(offer, { drops: () => ++down % 10 === 0, dropsOfViewer: () => ++up % 10 === 0, delayMs: 80 }),
    });
    play(transport, 'vp8');
    await decodes(page, 60);
  });

  it('continues from another address after it has answered our own check from there', async () => {
    let rebind: () => Promise<number> = () => Promise.reject(new Error('not yet'));
    let isRtcpBlocked = false;
    const isRtcp = (packet: Buffer) => packet.readUInt8(0) >> 6 === 2;
    const { transport, page } = await watching({
      through: (offer) =>
        standBetween(offer, {
          rebinds: (given) => {
            rebind = given;
          },
          // Without RTCP, only the answer to a check can prove the address.
          dropsOfViewer: (packet) => isRtcpBlocked && isRtcp(packet),
        }),
    });
    play(transport, 'vp8');
    await decodes(page, 15);
    isRtcpBlocked = true;
    const port = await rebind();
    await waitFor('the new address is used', () => transport.stats().remoteAddress === `127.0.0.1:${port}`);
    await decodes(page, 15);
  });

  it('connects with its own offer, as WHEP players do', async () => {
    const { page } = await playingItsOffer();
    expect((await statsOf(page, 'inbound-rtp', 'audio'))['packetsReceived']).toBeGreaterThan(10);
  });

  it('restarts ICE over WHEP and keeps the DTLS connection', async () => {
    const { transport, page, answer, events } = await playingItsOffer();
    const offer = await page.evaluate(async () => {
      pc.restartIce();
      await pc.setLocalDescription();
      return pc.localDescription?.sdp ?? '';
    });
    const of = (sdp: string, name: string) => new RegExp(`^a=${name}:(.*)$`, 'm').exec(sdp)?.[1]?.trim() ?? '';
    const remote = { usernameFragment: of(offer, 'ice-ufrag'), password: of(offer, 'ice-pwd') };
    const fragment = transport.restartIce(remote);
    const ufrag = of(fragment, 'ice-ufrag');
    expect(ufrag).not.toBe(of(answer, 'ice-ufrag'));
    expect(of(fragment, 'mid')).toBe(of(answer, 'mid'));
    expect(fragment).toMatch(/^a=candidate:.* typ host\r$/m);
    // As players do (RFC 9725 §4.3.3): the same answer with the new credentials.
    const next = answer
      .replace(/^(a=ice-ufrag:).*\r$/gm, `$1${ufrag}\r`)
      .replace(/^(a=ice-pwd:).*\r$/gm, `$1${of(fragment, 'ice-pwd')}\r`);
    await page.evaluate((sdp) => pc.setRemoteDescription({ type: 'answer', sdp }), next);
    await waitFor('a pair of the new ICE session is used', () =>
      page.evaluate(async (fragment) => {
        const stats = await pc.getStats();
        const transport = [...stats.values()].find(({ type }) => type === 'transport');
        const pair = stats.get(transport?.selectedCandidatePairId ?? '');
        return stats.get(pair?.localCandidateId ?? '')?.usernameFragment === fragment;
      }, remote.usernameFragment),
    );
    await decodes(page, 45);
    expect(events.closeReasons).toEqual([]);
    expect(transport.state).toBe('connected');
  });

  async function playingItsOffer() {
    const { transport, events } = createTransport();
    const page = await openPage();
    const offer = await page.evaluate(async () => {
      const peer = new RTCPeerConnection();
      Object.assign(globalThis, { pc: peer });
      watch(peer);
      peer.addTransceiver('video', { direction: 'recvonly' });
      peer.addTransceiver('audio', { direction: 'recvonly' });
      peer.createDataChannel('not for us');
      await peer.setLocalDescription();
      return peer.localDescription?.sdp ?? '';
    });
    const answer = await transport.answerOffer(offer);
    await page.evaluate((sdp) => pc.setRemoteDescription({ type: 'answer', sdp }), answer);
    await waitFor('connected', () => events.codec !== undefined);
    play(transport, 'vp8');
    await decodes(page, 45);
    return { transport, events, page, answer };
  }

  it('notices at once that the sender has closed', async () => {
    const { transport, events, page } = await watching();
    play(transport, 'vp8');
    await decodes(page, 5);
    transport.close('session-ended');
    transport.close();
    await waitFor(
      'DTLS closed',
      () => page.evaluate(() => pc.getReceivers()[0]?.transport?.state === 'closed'),
      undefined,
      2000,
    );
    expect(events.closeReasons).toEqual(['session-ended']);
  });

  it('closes the connection when it leaves', async () => {
    const { events, page } = await watching();
    await page.evaluate(() => pc.close());
    await waitFor('closed', () => events.closeReasons.length > 0, undefined, 2000);
    expect(events.closeReasons).toEqual(['closed-by-viewer']);
  });

  it('closes the connection when it becomes silent', async () => {
    let cut = false;
    const { events } = await watching({
      silenceTimeoutMs: 3500,
      through: (offer) => standBetween(offer, { drops: () => cut, dropsOfViewer: () => cut }),
    });
    cut = true;
    await waitFor('closed', () => events.closeReasons.length > 0, undefined, 6000);
    expect(events.closeReasons).toEqual(['silent']);
  });
});

describe('negotiation', () => {
  it('closes if the viewer does not connect', async () => {
    const { transport, events } = createTransport({ connectTimeoutMs: 300 });
    await transport.createOffer();
    await waitFor('closed', () => events.closeReasons.length > 0, undefined, 2000);
    expect(events.closeReasons).toEqual(['connect-timeout']);
  });

  it.each([
    [31, '42e01f'],
    [40, '42e028'],
    [52, '42e034'],
  ])('offers H.264 up to the configured level (%d), which Chromium decodes', async (h264Level, profile) => {
    const { transport, page } = await watching({
      codecs: ['h264'],
      h264Level,
      through: async (offer) => {
        expect(offer).toContain(`level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=${profile}\r\n`);
        return offer;
      },
    });
    play(transport, 'h264');
    await decodes(page, 10);
  });

  it('rejects a viewer without a common codec', async () => {
    const { transport } = createTransport({ codecs: ['vp8'] });
    const { answer } = await openViewer(await transport.createOffer());
    await expect(transport.acceptAnswer(answer.replaceAll('VP8/90000', 'VP9/90000'))).rejects.toMatchObject({
      code: 'no_common_codec',
    });
  });

  it('rejects a viewer that does not bundle', async () => {
    const { transport } = createTransport();
    const { answer } = await openViewer(await transport.createOffer());
    await expect(transport.acceptAnswer(answer.replace(/a=group:BUNDLE.*\r\n/, ''))).rejects.toMatchObject({
      code: 'bad_sdp',
    });
  });

  it.each(['', 'hello', 'v=0\r\ns=-\r\n', 'v=0\r\nm=\r\n', 'v=0\r\nm=video 9\r\n'])(
    'rejects the description %j',
    async (sdp) => {
      const { transport } = createTransport();
      await expect(transport.answerOffer(sdp)).rejects.toMatchObject({ code: 'bad_sdp' });
    },
  );

  it("closes if the viewer's certificate is not the one in the answer", async () => {
    const { transport, events } = createTransport();
    const { answer } = await openViewer(await transport.createOffer());
    await transport.acceptAnswer(answer.replace(/(fingerprint:sha-256 )..:..:../g, '$100:00:00'));
    await waitFor('closed', () => events.closeReasons.length > 0);
    expect(events.closeReasons).toEqual(['dtls-failed']);
  });

  it('drops packets before the connection and after its end', async () => {
    const { transport } = createTransport();
    const [frame] = clips.get('vp8') ?? [];
    if (!frame) throw new Error('no clip');
    transport.sendVideo(frame, 0);
    transport.sendAudio(new AudioPacket(Buffer.alloc(10), 0));
    transport.sendReports(0n, 0, 0);
    transport.close();
    transport.sendVideo(frame, 0, 0, 1);
    expect(transport.stats()).toMatchObject({ packetsSent: 0, packetsDropped: frame.payloads.length + 2 });
  });

  it('opens no descriptor, and leaves nothing behind after close()', async () => {
    await createTransport().transport.createOffer();
    const descriptors = () => readdirSync('/proc/self/fd').length;
    const before = descriptors();
    const { transport, events, page } = await watching();
    play(transport, 'vp8');
    await decodes(page, 5);
    const others = Array.from({ length: 20 }, () => createTransport().transport);
    for (const other of others) await other.createOffer();
    const open = descriptors();
    for (const each of [transport, ...others]) each.close();
    expect(events.closeReasons).toEqual(['closed']);
    expect(open).toBe(before);
    expect(SOCKETS.size).toBe(1);
  });
});
