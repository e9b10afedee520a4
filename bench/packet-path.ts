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
import { MediaSockets } from '../services/media-sender/dist/transport/media-sockets.js';
import { choosePacketPath, type PacketPath } from '../services/media-sender/dist/transport/packet-path.js';
import { WebRtcTransport } from '../services/media-sender/dist/transport/webrtc-transport.js';

const TICK_MS = 5;
/** 720p30 at 1.5 Mb/s. */
const PACKETS_PER_FRAME = 6;
const FRAME_BYTES = 1138 * PACKETS_PER_FRAME;
/** Frames a tick: 13 viewers, and 133. A busy sender has its code and data in the processor's caches. */
const FEW_FRAMES = 2;
const MANY_FRAMES = 20;
/** Warm-up: packets cost several times as much before the compiler has optimized their code. */
const WARM_UP_TICKS = 10_000;
const WARM_UP_TICK_MS = 1;

/** A way to send a video frame of `PACKETS_PER_FRAME` packets. */
interface Path {
  send(frame: number): void;
  close(): void | Promise<void>;
}

interface Measurement {
  cpuMicrosPerPacket: number;
  /** The part of it that is spent in the kernel, which on loopback also delivers the packet to the receiver's socket. */
  kernelMicrosPerPacket: number;
  packets: number;
}

const own = async (receiver: ChildProcess, packetPath: PacketPath): Promise<Path> => {
  const connected = Promise.withResolvers<void>();
  const logger = createLogger('bench', 'fatal');
  const sockets = new MediaSockets({ hostAddresses: ['127.0.0.1'], packetPath, logger });
  const transport = new WebRtcTransport(
    {
      connection: 'bench',
      codecs: ['vp8'],
      sockets,
      connectTimeoutMs: 10_000,
      silenceTimeoutMs: 600_000,
      logger,
    },
    {
      connected: () => connected.resolve(),
      closed: (reason) => connected.reject(new Error(reason)),
      keyframeNeeded: () => {},
      feedback: () => {},
      heard: () => {},
    },
  );
  await transport.acceptAnswer(await answerTo(receiver, await transport.createOffer()));
  await connected.promise;
  const frame = packetize('vp8', randomBytes(FRAME_BYTES), false);
  if (frame.payloads.length !== PACKETS_PER_FRAME) throw new Error(`${frame.payloads.length} packets a frame`);
  return {
    send: (number) => transport.sendVideo(frame, number * 3000),
    close: () => {
      transport.close();
      sockets.close();
    },
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
    send(frame) {
      for (let i = 0; i < PACKETS_PER_FRAME; i++) {
        sequenceNumber = (sequenceNumber + 1) & 0xffff;
        const marker = i === PACKETS_PER_FRAME - 1;
        const header = new RtpHeader({ sequenceNumber, timestamp: (frame * 3000) >>> 0, payloadType: 96, marker });
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

async function measure(path: Path, framesPerTick: number, seconds: number): Promise<Measurement> {
  const ticks = (seconds * 1000) / TICK_MS;
  const idle = await cpuUsage(() => run(path, 0, ticks, TICK_MS));
  const busy = await cpuUsage(() => run(path, framesPerTick, ticks, TICK_MS));
  const packets = ticks * framesPerTick * PACKETS_PER_FRAME;
  const kernelMicros = busy.system - idle.system;
  return {
    cpuMicrosPerPacket: (busy.user - idle.user + kernelMicros) / packets,
    kernelMicrosPerPacket: kernelMicros / packets,
    packets,
  };
}

async function run(path: Path, framesPerTick: number, ticks: number, tickMs: number): Promise<void> {
  const start = performance.now();
  for (let tick = 0; tick < ticks; tick++) {
    for (let i = 0; i < framesPerTick; i++) path.send(tick * framesPerTick + i);
    await sleep(Math.max(0, start + (tick + 1) * tickMs - performance.now()));
  }
}

/** @returns CPU time of this process in µs. */
async function cpuUsage(work: () => Promise<unknown>): Promise<NodeJS.CpuUsage> {
  const before = process.cpuUsage();
  await work();
  return process.cpuUsage(before);
}

async function bench(
  open: (receiver: ChildProcess) => Promise<Path>,
  framesPerTick: readonly number[],
  seconds: number,
): Promise<Measurement[]> {
  const receiver = fork(fileURLToPath(import.meta.url), ['receive']);
  await once(receiver, 'message');
  try {
    const path = await open(receiver);
    await run(path, FEW_FRAMES, WARM_UP_TICKS, WARM_UP_TICK_MS);
    const result: Measurement[] = [];
    for (const frames of framesPerTick) result.push(await measure(path, frames, seconds));
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
  const both = [MANY_FRAMES, FEW_FRAMES];
  const ours = await bench((receiver) => own(receiver, path), both, seconds);
  const fallback = await bench((receiver) => own(receiver, choosePacketPath('javascript')), both, seconds);
  const theirs = await bench(werift, [FEW_FRAMES], seconds);
  const figures = (measurements: readonly Measurement[]) =>
    measurements.map(({ cpuMicrosPerPacket, kernelMicrosPerPacket, packets }) => ({
      packetsPerSecond: packets / seconds,
      micros: Number(cpuMicrosPerPacket.toFixed(1)),
      kernelMicros: Number(kernelMicrosPerPacket.toFixed(1)),
    }));
  const [{ model = 'unknown' } = {}] = cpus();
  const results = { [path.kind]: figures(ours), javascript: figures(fallback), werift: figures(theirs) };
  console.log(`CPU per packet (${model}, Node ${process.version})`);
  for (const [name, rows] of Object.entries(results)) {
    for (const { packetsPerSecond, micros, kernelMicros } of rows) {
      console.log(`${name}, ${packetsPerSecond} packets/s: ${micros} µs, of which ${kernelMicros} µs in the kernel`);
    }
  }
  console.log(
    JSON.stringify({ bench: 'packet-path', packetPath: path.kind, results, cpu: model, node: process.version }),
  );
}
