/// <reference lib="dom" />
/**
 * The page of the Chromium figures: joins with the product's client (or plain, for the peer it is compared with), and
 * measures what is shown and heard, in the browser itself.
 */
import { connect, type Session } from '@humancast/client';
import { watchPeers } from '../lib/page/watch-peers.ts';
import { FlashWatch } from './flash-watch.ts';
import { SoundWatch } from './sound-watch.ts';

interface SkewSample {
  /** `performance.now()`. */
  readonly atMs: number;
  /** Picture minus voice as the browser estimates its own playout, ms: positive when the picture is late. */
  readonly skewMs: number;
  readonly jitterBufferTargetMs: { readonly audio: number | null; readonly video: number | null };
}

export interface Measurement {
  /** When the connection was asked for, and when its first frame was presented. */
  readonly startedMs: number;
  readonly firstFrameMs: number | undefined;
  /** Of each flash, when its first frame was due on the screen. */
  readonly flashesMs: number[];
  /** Flashes whose first frame this page may have missed; not among {@link flashesMs}. */
  readonly flashesUnseen: number;
  /** Of each beep, when its first sample was due at the output. */
  readonly beepsMs: number[];
  readonly skew: SkewSample[];
  readonly video: Readonly<Record<string, number>>;
  readonly audio: Readonly<Record<string, number>>;
}

interface ViewerBench {
  /** Joins a session with the product's client. @param trim whether it may trim. */
  joinSession(options: { url: string; session: string; token: string; trim: boolean }): Promise<void>;
  /** Joins the peer that is compared with, plainly. */
  joinPeer(options: { iceServers: RTCIceServer[] }): Promise<void>;
  measurement(): Promise<Measurement>;
}

declare global {
  var bench: ViewerBench;
  /** The signalling of the peer that is compared with. */
  function peerOffer(): Promise<string>;
  function peerAnswer(sdp: string): Promise<void>;
}

const SKEW_INTERVAL_MS = 1000;

const video = Object.assign(document.createElement('video'), { width: 640, height: 360, playsInline: true });
document.body.append(video);
const flashes = new FlashWatch(video);
const skew: SkewSample[] = [];
let startedMs = 0;
let peer: RTCPeerConnection | undefined;
let sound: SoundWatch | undefined;
let session: Session | undefined;

globalThis.bench = {
  async joinSession({ url, session: id, token, trim }) {
    // Without this, the client plays as in a browser that has no such thing.
    if (!trim) Reflect.deleteProperty(RTCRtpReceiver.prototype, 'jitterBufferTarget');
    watchPeers((connection) => {
      peer = connection;
    });
    start();
    session = connect({ url, session: id, token, video, onError: ({ code }) => console.error(code) });
    await playing();
    await session.unmute();
    sound = SoundWatch.open(video.srcObject as MediaStream);
  },

  async joinPeer({ iceServers }) {
    start();
    const connection = new RTCPeerConnection({ iceServers, iceTransportPolicy: 'relay' });
    peer = connection;
    const stream = new MediaStream();
    video.srcObject = stream;
    connection.ontrack = ({ track }) => stream.addTrack(track);
    await connection.setRemoteDescription({ type: 'offer', sdp: await peerOffer() });
    await connection.setLocalDescription(await connection.createAnswer());
    await gathered(connection);
    await peerAnswer(connection.localDescription?.sdp ?? '');
    void video.play();
    await playing();
    sound = SoundWatch.open(stream);
  },

  async measurement() {
    const { audio, video: picture } = await inbound();
    return {
      startedMs,
      firstFrameMs: flashes.firstFrameMs,
      flashesMs: flashes.flashesMs,
      flashesUnseen: flashes.unseen,
      beepsMs: sound?.beepsMs() ?? [],
      skew,
      video: numbersOf(picture),
      audio: numbersOf(audio),
    };
  },
};

function start(): void {
  startedMs = performance.now();
  setInterval(() => void sampleSkew(), SKEW_INTERVAL_MS);
}

function playing(): Promise<void> {
  return new Promise((resolve) => {
    video.requestVideoFrameCallback(() => resolve());
  });
}

function gathered(connection: RTCPeerConnection): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (connection.iceGatheringState === 'complete') resolve();
    };
    connection.onicegatheringstatechange = look;
    look();
  });
}

type Row = Readonly<Record<string, unknown>>;

async function inbound(): Promise<{ audio: Row; video: Row }> {
  const rows: Record<string, Row> = {};
  const report = await peer?.getStats();
  report?.forEach((row: Row) => {
    if (row['type'] === 'inbound-rtp') rows[String(row['kind'])] = row;
  });
  return { audio: rows['audio'] ?? {}, video: rows['video'] ?? {} };
}

/**
 * Both estimates say which of the sender's NTP instants is being played "now", and each was taken at its row's own
 * timestamp (webrtc-stats §8.2); the difference of the two timestamps is taken out.
 */
async function sampleSkew(): Promise<void> {
  const { audio, video: picture } = await inbound();
  const [heard, seen] = [audio['estimatedPlayoutTimestamp'], picture['estimatedPlayoutTimestamp']];
  const [heardAt, seenAt] = [audio['timestamp'], picture['timestamp']];
  if (typeof heard !== 'number' || typeof seen !== 'number' || heard === 0 || seen === 0) return;
  const apart = typeof heardAt === 'number' && typeof seenAt === 'number' ? heardAt - seenAt : 0;
  const targetOf = (kind: string) =>
    peer?.getReceivers().find(({ track }) => track.kind === kind)?.jitterBufferTarget ?? null;
  skew.push({
    atMs: performance.now(),
    skewMs: heard - (seen + apart),
    jitterBufferTargetMs: { audio: targetOf('audio'), video: targetOf('video') },
  });
}

function numbersOf(row: Row): Record<string, number> {
  return Object.fromEntries(
    Object.entries(row).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}
