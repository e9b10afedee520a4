/// <reference lib="dom" />
/** The page of the network figures: watches humancast or libwebrtc through the impairment relay, and takes down what is seen. */
import { connect } from '@humancast/client';

/** Cumulative over all connections of a run. */
interface Sample {
  readonly atMs: number;
  readonly concealedSamples: number;
  readonly audioSamples: number;
  /** How much later video is played than audio; missing until both are known. */
  readonly skewMs: number | undefined;
  readonly height: number;
  readonly bytes: number;
}

export interface Run {
  /** When frames were handed to the screen, ms from the first one. */
  readonly framesMs: readonly number[];
  readonly samples: readonly Sample[];
  readonly connections: number;
}

/** Stands between the viewer and its TURN server. */
interface Relay {
  readonly port: number;
  readonly transport: 'udp' | 'tcp';
}

interface NetworkBench {
  /** @returns once the first video is shown. */
  watch(options: { url: string; session: string; token: string; relay: Relay }): Promise<void>;
  exchange(options: { iceServer: RTCIceServer; relay: Relay }): Promise<void>;
  finish(): Promise<Run>;
}

declare global {
  var networkBench: NetworkBench;
}

const SAMPLE_MS = 250;
const FIRST_FRAME_TIMEOUT_MS = 20_000;
const BITRATE_BPS = 1_500_000;

const Native = RTCPeerConnection;
let relay: Relay = { port: 0, transport: 'udp' };
let receivers: RTCPeerConnection[] = [];
let framesMs: number[] = [];
let samples: Sample[] = [];
let close = () => {};
let timer: ReturnType<typeof setInterval> | undefined;

/** Every connection of the page that is not told otherwise goes through the relay. */
globalThis.RTCPeerConnection = class extends Native {
  constructor(configuration: RTCConfiguration = {}) {
    super({ ...configuration, iceServers: (configuration.iceServers ?? []).map(throughRelay) });
    receivers.push(this);
  }
};

function throughRelay(server: RTCIceServer): RTCIceServer {
  const urls = [server.urls]
    .flat()
    .map((url) => url.replace(/:\d+(\?.*)?$/, `:${relay.port}?transport=${relay.transport}`));
  return { ...server, urls };
}

globalThis.networkBench = {
  async watch(options) {
    const video = begin(options.relay);
    const session = connect({ url: options.url, session: options.session, token: options.token, video });
    close = () => session.close();
    await firstFrame(video);
  },

  async exchange({ iceServer, relay: through }) {
    const video = begin(through);
    const sender = new Native({ iceServers: [iceServer], iceTransportPolicy: 'relay' });
    const receiver = new RTCPeerConnection({ iceServers: [iceServer], iceTransportPolicy: 'relay' });
    close = () => {
      sender.close();
      receiver.close();
    };
    sender.onicecandidate = ({ candidate }) => void receiver.addIceCandidate(candidate ?? undefined);
    receiver.onicecandidate = ({ candidate }) => void sender.addIceCandidate(candidate ?? undefined);
    receiver.ontrack = ({ streams }) => {
      video.srcObject = streams[0] ?? null;
      void video.play();
    };
    const stream = drawnFace();
    for (const track of stream.getTracks()) sender.addTrack(track, stream);
    await sender.setLocalDescription();
    await receiver.setRemoteDescription(sender.localDescription as RTCSessionDescription);
    await receiver.setLocalDescription();
    await sender.setRemoteDescription(receiver.localDescription as RTCSessionDescription);
    for (const rtp of sender.getSenders().filter(({ track }) => track?.kind === 'video')) {
      const parameters = rtp.getParameters();
      for (const encoding of parameters.encodings) encoding.maxBitrate = BITRATE_BPS;
      await rtp.setParameters(parameters);
    }
    await firstFrame(video);
  },

  async finish() {
    clearInterval(timer);
    close();
    const run = { framesMs, samples, connections: receivers.length };
    document.body.replaceChildren();
    return run;
  },
};

function begin(through: Relay): HTMLVideoElement {
  relay = through;
  receivers = [];
  framesMs = [];
  samples = [];
  const video = Object.assign(document.createElement('video'), { width: 1280, height: 720, autoplay: true });
  document.body.replaceChildren(video);
  return video;
}

async function firstFrame(video: HTMLVideoElement): Promise<void> {
  const startMs = await new Promise<number>((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error('no video came')), FIRST_FRAME_TIMEOUT_MS);
    video.requestVideoFrameCallback((_now, { presentationTime }) => {
      clearTimeout(timeout);
      resolve(presentationTime);
    });
  });
  const watch = () =>
    video.requestVideoFrameCallback((_now, { presentationTime }) => {
      framesMs.push(presentationTime - startMs);
      watch();
    });
  watch();
  timer = setInterval(() => void sample(startMs), SAMPLE_MS);
}

type Stats = Record<string, number | undefined>;
const lastStats = new WeakMap<RTCPeerConnection, { audio: Stats; video: Stats }>();

async function sample(startMs: number): Promise<void> {
  const atMs = performance.now() - startMs;
  for (const peer of receivers) {
    const all = [...(await peer.getStats()).values()] as (Stats & { type: string; kind: string })[];
    const of = (kind: string) => all.find((row) => row['type'] === 'inbound-rtp' && row['kind'] === kind);
    const [audio, video] = [of('audio'), of('video')];
    if (audio && video) lastStats.set(peer, { audio, video });
  }
  const known = receivers.flatMap((peer) => lastStats.get(peer) ?? []);
  const { audio, video } = known.at(-1) ?? {};
  const sum = (count: (stats: { audio: Stats; video: Stats }) => number | undefined) =>
    known.reduce((total, stats) => total + (count(stats) ?? 0), 0);
  const [heard, seen] = [audio?.['estimatedPlayoutTimestamp'], video?.['estimatedPlayoutTimestamp']];
  samples.push({
    atMs,
    concealedSamples: sum(
      (stats) => (stats.audio['concealedSamples'] ?? 0) - (stats.audio['silentConcealedSamples'] ?? 0),
    ),
    audioSamples: sum((stats) => stats.audio['totalSamplesReceived']),
    skewMs: heard === undefined || seen === undefined ? undefined : heard - seen,
    height: video?.['frameHeight'] ?? 0,
    bytes: sum((stats) => stats.video['bytesReceived']),
  });
}

/** A picture that moves like a talking head before a textured wall, and a voice. */
function drawnFace(): MediaStream {
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const pen = canvas.getContext('2d');
  if (!pen) throw new Error('no canvas');
  let frame = 0;
  const draw = () => {
    frame++;
    for (let x = 0; x < 1280; x += 32) {
      for (let y = 0; y < 720; y += 32) {
        pen.fillStyle = `hsl(${(x * 7 + y * 13 + Math.floor(frame / 3) * 5) % 360} 40% 45%)`;
        pen.fillRect(x, y, 32, 32);
      }
    }
    pen.fillStyle = '#e8b08a';
    pen.beginPath();
    pen.ellipse(640 + 20 * Math.sin(frame / 20), 360, 180, 240, 0, 0, 7);
    pen.fill();
    pen.fillStyle = '#602020';
    pen.beginPath();
    pen.ellipse(640 + 20 * Math.sin(frame / 20), 460, 70, 8 + 30 * Math.abs(Math.sin(frame / 3)), 0, 0, 7);
    pen.fill();
  };
  const drawing = setInterval(draw, 1000 / 30);
  const context = new AudioContext();
  const tone = new OscillatorNode(context, { frequency: 220, type: 'sawtooth' });
  const destination = context.createMediaStreamDestination();
  tone.connect(destination);
  tone.start();
  const stream = canvas.captureStream(30);
  for (const track of destination.stream.getAudioTracks()) stream.addTrack(track);
  const before = close;
  close = () => {
    before();
    clearInterval(drawing);
    void context.close();
  };
  return stream;
}
