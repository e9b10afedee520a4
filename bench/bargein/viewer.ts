/// <reference lib="dom" />
/** The page of the barge-in benchmark: a viewer who says what it is told to, and records when audio packets arrive. */
import { connect, type Session } from '@humancast/client';

/** An audio frame from the network, before the jitter buffer. */
interface ArrivedFrame {
  /** Ms since the Unix epoch. */
  readonly atMs: number;
  /** RMS, from 0 to 1. */
  readonly level: number;
}

interface BargeInBench {
  join(options: { url: string; session: string; token: string }): Promise<void>;
  /** Says 16 kHz PCM. @returns When its first sample was said, ms since the Unix epoch. */
  say(pcm: readonly number[]): Promise<number>;
  /** @returns The audio frames that have arrived since the last call. */
  arrived(): ArrivedFrame[];
}

declare global {
  var bargeInBench: BargeInBench;
}

const POLL_MS = 20;
const LEAD_SECONDS = 0.1;
const NOISE_SECONDS = 3;
/** Amplitude of noise with −65 dBFS. */
const NOISE_LEVEL = 0.001;
/** Decodes each packet by itself when it comes: the encoder spreads the end of a voice over the sizes of later packets. */
const WORKER = `const arrivals = new Map();
const decoder = new AudioDecoder({
  output: (audio) => {
    const pcm = new Float32Array(audio.numberOfFrames);
    audio.copyTo(pcm, { planeIndex: 0, format: 'f32-planar' });
    postMessage({ atMs: arrivals.get(audio.timestamp), level: Math.sqrt(pcm.reduce((sum, sample) => sum + sample ** 2, 0) / pcm.length) });
    arrivals.delete(audio.timestamp);
    audio.close();
  },
  error: (error) => { throw error; },
});
decoder.configure({ codec: 'opus', sampleRate: 48000, numberOfChannels: 1 });
let timestamp = 0;
const primary = (data) => {
  // RFC 2198
  let [at, redundant] = [0, 0];
  for (; data[at] & 128; at += 4) redundant += ((data[at + 2] & 3) << 8) | data[at + 3];
  return data.subarray(at + 1 + redundant);
};
onrtctransform = ({ transformer: { readable, writable } }) => {
  const transform = (frame, controller) => {
    const data = new Uint8Array(frame.data);
    const isRed = /red/.test(frame.getMetadata().mimeType ?? '');
    arrivals.set(timestamp, performance.timeOrigin + performance.now());
    decoder.decode(new EncodedAudioChunk({ type: 'key', timestamp, data: isRed ? primary(data) : data.slice() }));
    timestamp += 20000;
    controller.enqueue(frame);
  };
  readable.pipeThrough(new TransformStream({ transform })).pipeTo(writable);
};`;

const frames: ArrivedFrame[] = [];
const worker = new Worker(URL.createObjectURL(new Blob([WORKER], { type: 'text/javascript' })));
worker.onmessage = ({ data }) => frames.push(data);
globalThis.RTCPeerConnection = class extends RTCPeerConnection {
  constructor(configuration?: RTCConfiguration) {
    super(configuration);
    this.addEventListener('track', ({ track, receiver }) => {
      if (track.kind === 'audio') receiver.transform = new RTCRtpScriptTransform(worker);
    });
  }
};

let session: Session;
let context: AudioContext;
let output: MediaStreamAudioDestinationNode;

globalThis.bargeInBench = {
  async join({ url, session: id, token }) {
    const video = document.createElement('video');
    document.body.replaceChildren(video);
    session = connect({ url, session: id, token, video });
    while (!(session.state === 'playing' && session.canSpeak)) await pause(POLL_MS);
    context = new AudioContext({ latencyHint: 'interactive' });
    output = context.createMediaStreamDestination();
    // As a microphone, it always sends: without a source, it would send nothing between two utterances.
    const noise = context.createBuffer(1, NOISE_SECONDS * context.sampleRate, context.sampleRate);
    noise.copyToChannel(
      Float32Array.from({ length: noise.length }, () => NOISE_LEVEL * (2 * Math.random() - 1)),
      0,
    );
    const room = new AudioBufferSourceNode(context, { buffer: noise, loop: true });
    room.connect(output);
    room.start();
    session.setMicrophone(output.stream.getAudioTracks()[0] ?? null);
  },
  async say(pcm) {
    const buffer = context.createBuffer(1, pcm.length, 16_000);
    buffer.copyToChannel(
      Float32Array.from(pcm, (sample) => sample / 32_768),
      0,
    );
    const source = new AudioBufferSourceNode(context, { buffer });
    source.connect(output);
    const onset = context.currentTime + LEAD_SECONDS;
    source.start(onset);
    // The context's time advances in steps: it is rendered at the least difference between the two clocks.
    let offsetMs = Number.POSITIVE_INFINITY;
    while (context.currentTime < onset + buffer.duration) {
      offsetMs = Math.min(offsetMs, performance.now() - 1000 * context.currentTime);
      await pause(POLL_MS / 4);
    }
    return performance.timeOrigin + offsetMs + 1000 * onset;
  },
  arrived: () => frames.splice(0),
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
