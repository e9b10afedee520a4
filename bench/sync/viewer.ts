/// <reference lib="dom" />
/**
 * The page of the Chromium benchmark: joins with the product's client (or plainly, for the design for comparison), and
 * measures presented video and audio in the browser.
 */
import { connect, type Session } from '@humancast/client';
import { watchPeers } from '../lib/page/watch-peers.ts';
import { AudioWatch } from './audio-watch.ts';
import { FlashWatch } from './flash-watch.ts';

interface SkewSample {
  /** `performance.now()`. */
  readonly atMs: number;
  /** Video minus audio by the browser's playout estimates, ms: positive when the video is late. */
  readonly skewMs: number;
  readonly jitterBufferTargetMs: { readonly audio: number | null; readonly video: number | null };
}

export interface Measurement {
  /** Time of the connection request, and of the first presented frame. */
  readonly startedMs: number;
  readonly firstFrameMs: number | undefined;
  /** Expected display time of each flash's first frame. */
  readonly flashesMs: number[];
  /** Flashes whose first frame the page may have missed; not in {@link flashesMs}. */
  readonly flashesUnseen: number;
  /** Output time of each beep's first sample. */
  readonly beepsMs: number[];
  readonly skew: SkewSample[];
  readonly video: Readonly<Record<string, number>>;
  readonly audio: Readonly<Record<string, number>>;
}

interface ViewerBench {
  /** Joins a session with the product's client. @param trim whether to trim. */
  joinSession(options: { url: string; session: string; token: string; trim: boolean }): Promise<void>;
  /** Joins the design for comparison without the client. */
  joinPeer(options: { iceServers: RTCIceServer[] }): Promise<void>;
  measurement(): Promise<Measurement>;
}

declare global {
  var bench: ViewerBench;
  /** Signaling URL of the design for comparison. */
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
let audioWatch: AudioWatch | undefined;
let session: Session | undefined;

globalThis.bench = {
  async joinSession({ url, session: id, token, trim }) {
    // Makes the client run as in a browser without that feature.
    if (!trim) Reflect.deleteProperty(RTCRtpReceiver.prototype, 'jitterBufferTarget');
    watchPeers((connection) => {
      peer = connection;
    });
    start();
    session = connect({ url, session: id, token, video, onError: ({ code }) => console.error(code) });
    await playing();
    await session.unmute();
    audioWatch = AudioWatch.open(video.srcObject as MediaStream);
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
    audioWatch = AudioWatch.open(stream);
  },

  async measurement() {
    const { audio, video } = await inbound();
    return {
      startedMs,
      firstFrameMs: flashes.firstFrameMs,
      flashesMs: flashes.flashesMs,
      flashesUnseen: flashes.unseen,
      beepsMs: audioWatch?.beepsMs() ?? [],
      skew,
      video: numbersOf(video),
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
 * Computes video minus audio from both estimates. Each is the sender's NTP time being played at its row's own timestamp
 * (webrtc-stats §8.2), so the difference of the two timestamps is subtracted.
 */
async function sampleSkew(): Promise<void> {
  const { audio, video } = await inbound();
  const [audioNtp, videoNtp] = [audio['estimatedPlayoutTimestamp'], video['estimatedPlayoutTimestamp']];
  const [audioAt, videoAt] = [audio['timestamp'], video['timestamp']];
  if (typeof audioNtp !== 'number' || typeof videoNtp !== 'number' || audioNtp === 0 || videoNtp === 0) return;
  const apart = typeof audioAt === 'number' && typeof videoAt === 'number' ? audioAt - videoAt : 0;
  const targetOf = (kind: string) =>
    peer?.getReceivers().find(({ track }) => track.kind === kind)?.jitterBufferTarget ?? null;
  skew.push({
    atMs: performance.now(),
    skewMs: audioNtp - (videoNtp + apart),
    jitterBufferTargetMs: { audio: targetOf('audio'), video: targetOf('video') },
  });
}

function numbersOf(row: Row): Record<string, number> {
  return Object.fromEntries(
    Object.entries(row).filter((entry): entry is [string, number] => typeof entry[1] === 'number'),
  );
}
