/**
 * Measures CPU per packet from an encoded frame to the UDP socket: both packet paths of the media-sender, and werift's
 * `writeRtp` for comparison. The receivers are werift peers in a process of their own, over loopback, with real ICE, DTLS and
 * SRTP. In a tick, each frame is another viewer's. The native path sends in turn as the scheduler does, by one system call for
 * all frames of a tick, and by a call for each, so that both are measured while the machine is equally busy.
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
import { createLogger, type Logger } from '@humancast/shared';
import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useOPUS, useVP8 } from 'werift';
import { packetize } from '../services/media-sender/dist/rtp/packetize.js';
import { MediaSockets } from '../services/media-sender/dist/transport/media-sockets.js';
import { choosePacketPath, type PacketPath } from '../services/media-sender/dist/transport/packet-path.js';
import { WebRtcTransport } from '../services/media-sender/dist/transport/webrtc-transport.js';

const TICK_MS = 5;
/** 720p30 at 1.5 Mb/s. */
const PACKETS_PER_FRAME = 6;
const PACKET_BYTES = 1138;
const VIEWERS = 20;
/** Frames a tick: 13 viewers, and 133. A busy sender has its code and data in the processor's caches. */
const FEW: Load = { frames: 2, packets: PACKETS_PER_FRAME };
const MANY: Load = { frames: 20, packets: PACKETS_PER_FRAME };
/** Frames of one packet, as audio is. */
const SINGLE: Load = { frames: 20, packets: 1 };
/** Time for which one way of sending is measured before another one's turn. */
const TURN_SECONDS = 0.5;
/** Warm-up: packets cost several times as much before the compiler has optimized their code. */
const WARM_UP_TICKS = 10_000;
const WARM_UP_TICK_MS = 1;

/** The packets of a tick. */
interface Load {
  readonly frames: number;
  /** Packets of a frame. */
  readonly packets: number;
}

/** A way to send video frames. */
interface Path {
  /**
   * @param from number of the first frame.
   * @param together whether all frames are sent by one system call, where the path can.
   */
  send(load: Load, from: number, together: boolean): void;
  close(): void | Promise<void>;
}

interface Measurement extends Load {
  readonly together: boolean;
  readonly packetsPerSecond: number;
  readonly micros: number;
  /** The part of it that is spent in the kernel, which on loopback also delivers the packet to the receiver's socket. */
  readonly kernelMicros: number;
}

const own = async (receiver: ChildProcess, packetPath: PacketPath): Promise<Path> => {
  const logger = createLogger('bench', 'fatal');
  const sockets = new MediaSockets({ hostAddresses: ['127.0.0.1'], packetPath, logger });
  const transports: WebRtcTransport[] = [];
  for (let i = 0; i < VIEWERS; i++) transports.push(await connect(receiver, sockets, logger));
  const framesOf = new Map(
    [MANY, SINGLE].map(({ packets }) => [packets, packetize('vp8', randomBytes(packets * PACKET_BYTES), false)]),
  );
  return {
    send: ({ frames, packets }, from, together) => {
      const frame = framesOf.get(packets);
      if (frame?.payloads.length !== packets) throw new Error(`${frame?.payloads.length} packets a frame`);
      if (together) packetPath.sockets.cork();
      for (let i = from; i < from + frames; i++) transports[i % VIEWERS]?.sendVideo(frame, i * 3000);
      if (together) packetPath.sockets.uncork();
    },
    close: () => {
      for (const transport of transports) transport.close();
      sockets.close();
    },
  };
};

async function connect(receiver: ChildProcess, sockets: MediaSockets, logger: Logger): Promise<WebRtcTransport> {
  const connected = Promise.withResolvers<void>();
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
  return transport;
}

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
    send({ frames, packets }, from) {
      for (let i = 0; i < frames * packets; i++) {
        sequenceNumber = (sequenceNumber + 1) & 0xffff;
        const marker = i % packets === packets - 1;
        const timestamp = ((from + Math.floor(i / packets)) * 3000) >>> 0;
        track.writeRtp(new RtpPacket(new RtpHeader({ sequenceNumber, timestamp, payloadType: 96, marker }), payload));
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

async function measure(path: Path, load: Load, seconds: number, ways: readonly boolean[]): Promise<Measurement[]> {
  const turns = Math.max(1, Math.round(seconds / TURN_SECONDS));
  const ticks = (TURN_SECONDS * 1000) / TICK_MS;
  const used = ways.map(() => ({ user: 0, system: 0 }));
  for (let turn = 0; turn < turns; turn++) {
    const idle = await cpuUsage(() => run(path, { ...load, frames: 0 }, ticks, TICK_MS));
    for (const [i, sum] of used.entries()) {
      const { user, system } = await cpuUsage(() => run(path, load, ticks, TICK_MS, ways[i]));
      sum.user += user - idle.user;
      sum.system += system - idle.system;
    }
  }
  const packets = turns * ticks * load.frames * load.packets;
  return used.map(({ user, system }, i) => ({
    ...load,
    together: ways[i] ?? true,
    packetsPerSecond: packets / (turns * TURN_SECONDS),
    micros: round((user + system) / packets),
    kernelMicros: round(system / packets),
  }));
}

function round(micros: number): number {
  return Number(micros.toFixed(1));
}

async function run(path: Path, load: Load, ticks: number, tickMs: number, together = true): Promise<void> {
  const start = performance.now();
  for (let tick = 0; tick < ticks; tick++) {
    path.send(load, tick * load.frames, together);
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
  loads: readonly Load[],
  seconds: number,
  ways: readonly boolean[] = [true],
): Promise<Measurement[]> {
  const receiver = fork(fileURLToPath(import.meta.url), ['receive']);
  await once(receiver, 'message');
  try {
    const path = await open(receiver);
    await run(path, FEW, WARM_UP_TICKS, WARM_UP_TICK_MS);
    const result: Measurement[] = [];
    for (const load of loads) result.push(...(await measure(path, load, seconds, ways)));
    await path.close();
    return result;
  } finally {
    receiver.kill();
  }
}

/** The receiver process: answers each offer by another peer, and ignores the packets. */
function receive(): void {
  const withoutFeedback = { rtcpFeedback: [] };
  process.on('message', async (sdp: string) => {
    const peer = new RTCPeerConnection({
      codecs: { audio: [useOPUS()], video: [useVP8(withoutFeedback)] },
      iceServers: [],
      iceAdditionalHostAddresses: ['127.0.0.1'],
    });
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
  const ways = path.kind === 'native' ? [true, false] : [true];
  const results = {
    [path.kind]: await bench((receiver) => own(receiver, path), [MANY, SINGLE, FEW], seconds, ways),
    javascript: await bench((receiver) => own(receiver, choosePacketPath('javascript')), [MANY, FEW], seconds),
    werift: await bench(werift, [FEW], seconds),
  };
  const [{ model = 'unknown' } = {}] = cpus();
  console.log(`CPU per packet (${model}, Node ${process.version})`);
  for (const [name, rows] of Object.entries(results)) {
    for (const { frames, packets, together, packetsPerSecond, micros, kernelMicros } of rows) {
      const load = `${frames} frames of ${packets} packets${together ? '' : ', a call for each'}`;
      console.log(
        `${name}, ${packetsPerSecond} packets/s, ${load}: ${micros} µs, of which ${kernelMicros} µs in the kernel`,
      );
    }
  }
  console.log(
    JSON.stringify({ bench: 'packet-path', packetPath: path.kind, results, cpu: model, node: process.version }),
  );
}
