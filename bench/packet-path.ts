/**
 * Measures CPU per packet from an encoded frame to the UDP socket: both packet paths of the media-sender, and werift's
 * `writeRtp` for comparison. The receiver is a werift peer in its own process, over loopback, with real ICE, DTLS and SRTP.
 *
 *     npm run build && node bench/packet-path.ts [seconds]
 *
 * Prints a line of text and one of JSON.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLogger } from '@humancast/shared';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useOPUS, useVP8 } from 'werift';
import { packetize } from '../services/media-sender/dist/rtp/packetize.js';
import { choosePacketPath, type PacketPath } from '../services/media-sender/dist/transport/packet-path.js';
import { WebRtcTransport } from '../services/media-sender/dist/transport/webrtc-transport.js';

const TICK_MS = 5;
/** 14 viewers of 720p30 at 1.5 Mb/s. */
const PACKETS_PER_TICK = 16;
const FRAME_BYTES = 1138 * PACKETS_PER_TICK;

/** A way to send `PACKETS_PER_TICK` video packets. */
interface Path {
  send(tick: number): void;
  close(): void | Promise<void>;
}

interface Measurement {
  cpuMicrosPerPacket: number;
  packets: number;
}

const own = async (receiver: ChildProcess, packetPath: PacketPath): Promise<Path> => {
  const connected = Promise.withResolvers<void>();
  const transport = new WebRtcTransport(
    {
      connection: 'bench',
      codecs: ['vp8'],
      hostAddresses: ['127.0.0.1'],
      connectTimeoutMs: 10_000,
      silenceTimeoutMs: 600_000,
      packetPath,
      logger: createLogger('bench', 'fatal'),
    },
    {
      connected: () => connected.resolve(),
      closed: (reason) => connected.reject(new Error(reason)),
      keyframeNeeded: () => {},
      feedback: () => {},
    },
  );
  await transport.acceptAnswer(await answerTo(receiver, await transport.createOffer()));
  await connected.promise;
  const frame = packetize('vp8', randomBytes(FRAME_BYTES), false);
  if (frame.payloads.length !== PACKETS_PER_TICK) throw new Error(`${frame.payloads.length} packets a frame`);
  return {
    send: (tick) => transport.sendVideo(frame, tick * 450),
    close: () => transport.close(),
  };
};

const werift = async (receiver: ChildProcess): Promise<Path> => {
  const peer = new RTCPeerConnection({
    codecs: { audio: [useOPUS()], video: [useVP8()] },
    iceServers: [],
    iceAdditionalHostAddresses: ['127.0.0.1'],
  });
  const track = new MediaStreamTrack({ kind: 'video' });
  peer.addTransceiver(track, { direction: 'sendonly' });
  for (const { connection } of peer.iceTransports) delete connection.stunServer;
  const offer = await peer.createOffer();
  await peer.setLocalDescription(offer);
  const sdp = await answerTo(receiver, peer.localDescription?.sdp ?? '');
  const connected = peer.connectionStateChange.watch((state) => state === 'connected', 10_000);
  await peer.setRemoteDescription({ type: 'answer', sdp });
  await connected;
  const payload = randomBytes(1150);
  let sequenceNumber = 0;
  return {
    send(tick) {
      for (let i = 0; i < PACKETS_PER_TICK; i++) {
        sequenceNumber = (sequenceNumber + 1) & 0xffff;
        const marker = i === PACKETS_PER_TICK - 1;
        const header = new RtpHeader({ sequenceNumber, timestamp: tick * 450, payloadType: 96, marker });
        track.writeRtp(new RtpPacket(header, payload));
      }
    },
    close: () => peer.close(),
  };
};

async function answerTo(receiver: ChildProcess, offer: string): Promise<string> {
  receiver.send(offer);
  const [answer] = (await once(receiver, 'message')) as [string];
  return answer;
}

async function measure(path: Path, seconds: number): Promise<Measurement> {
  await run(path, 1);
  const idle = await cpuMicros(() => run({ ...path, send: () => {} }, seconds));
  let packets = 0;
  const busy = await cpuMicros(async () => {
    packets = await run(path, seconds);
  });
  return { cpuMicrosPerPacket: (busy - idle) / packets, packets };
}

async function run(path: Path, seconds: number): Promise<number> {
  const start = performance.now();
  const ticks = (seconds * 1000) / TICK_MS;
  for (let tick = 0; tick < ticks; tick++) {
    path.send(tick);
    await sleep(Math.max(0, start + (tick + 1) * TICK_MS - performance.now()));
  }
  return ticks * PACKETS_PER_TICK;
}

async function cpuMicros(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return user + system;
}

async function bench(open: (receiver: ChildProcess) => Promise<Path>, seconds: number): Promise<Measurement> {
  const receiver = fork(fileURLToPath(import.meta.url), ['receive']);
  await once(receiver, 'message');
  try {
    const path = await open(receiver);
    const result = await measure(path, seconds);
    await path.close();
    return result;
  } finally {
    receiver.kill();
  }
}

/** The receiver process: answers one offer, and ignores the packets. */
function receive(): void {
  const withoutFeedback = { rtcpFeedback: [] };
  const peer = new RTCPeerConnection({
    codecs: { audio: [useOPUS()], video: [useVP8(withoutFeedback)] },
    iceServers: [],
    iceAdditionalHostAddresses: ['127.0.0.1'],
  });
  process.on('message', async (sdp: string) => {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    for (const { connection } of peer.iceTransports) delete connection.stunServer;
    await peer.setLocalDescription(await peer.createAnswer());
    process.send?.(peer.localDescription?.sdp ?? '');
  });
  process.on('disconnect', () => process.exit());
  process.send?.('ready');
}

if (process.argv[2] === 'receive') {
  receive();
} else {
  const seconds = Number(process.argv[2] ?? 5);
  const path = choosePacketPath('auto');
  const ours = await bench((receiver) => own(receiver, path), seconds);
  const fallback = await bench((receiver) => own(receiver, choosePacketPath('javascript')), seconds);
  const theirs = await bench(werift, seconds);
  const micros = (measurement: Measurement) => Number(measurement.cpuMicrosPerPacket.toFixed(1));
  const [{ model = 'unknown' } = {}] = cpus();
  console.log(
    `CPU per packet: ${micros(ours)} µs (${path.kind}); javascript: ${micros(fallback)} µs; werift's writeRtp: ${micros(theirs)} µs (${model}, Node ${process.version})`,
  );
  console.log(
    JSON.stringify({
      bench: 'packet-path',
      packetPath: path.kind,
      cpuMicrosPerPacket: { humancast: micros(ours), javascript: micros(fallback), werift: micros(theirs) },
      packets: ours.packets,
      cpu: model,
      node: process.version,
    }),
  );
}
