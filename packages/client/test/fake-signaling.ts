import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { SignalMessage, ViewerMessage } from '@humancast/protocol';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';

/**
 * Fakes signaling and media-sender for a real browser: the WebSocket's messages are real, and the media comes from
 * RTCPeerConnections of another page (`/host`).
 */
export class FakeSignaling {
  readonly received: ViewerMessage[] = [];
  /** Connections offered so far, newest last. */
  readonly connections: string[] = [];
  epoch = 1;
  /** Error with which the next join is rejected. */
  rejection: string | undefined;
  /** Content of the next connections. */
  color = '#ff0000';
  /** Whether the next connections' viewers may speak. `heard()` in the host's page is how loud the newest one is, as RMS. */
  canSpeak = false;
  /** The lower half of the next connections' video, if it is a matte. */
  matte: string | undefined;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true });
  readonly #viewers = new Set<WebSocket>();
  #host: WebSocket | undefined;
  #hostReady: () => void = () => {};
  readonly hostReady = new Promise<void>((resolve) => {
    this.#hostReady = resolve;
  });

  constructor(serve: (request: IncomingMessage, response: ServerResponse) => void) {
    this.#server = createServer((request, response) => {
      if (request.url === '/host') response.setHeader('content-type', 'text/html').end(HOST_PAGE);
      else serve(request, response);
    });
    this.#server.on('upgrade', (request, socket, head) => {
      this.#sockets.handleUpgrade(request, socket, head, (ws) => {
        if (request.url === '/host-socket') this.#addHost(ws);
        else this.#addViewer(ws);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `http://127.0.0.1:${address.port}`;
  }

  messagesOf<T extends ViewerMessage['type']>(type: T): Extract<ViewerMessage, { type: T }>[] {
    return this.received.filter((message): message is Extract<ViewerMessage, { type: T }> => message.type === type);
  }

  send(message: SignalMessage): void {
    for (const viewer of this.#viewers) viewer.send(JSON.stringify(message));
  }

  /** Simulates a hand-over: offers a new connection under a higher epoch. */
  move(color: string): void {
    this.epoch++;
    this.color = color;
    this.#offer();
  }

  /** Stops a connection's media; its host stays connected. */
  silence(connection: string): void {
    this.#host?.send(JSON.stringify({ type: 'silence', connection }));
  }

  dropSockets(): void {
    for (const viewer of this.#viewers) viewer.terminate();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #addHost(host: WebSocket): void {
    this.#host = host;
    host.on('message', (data) => this.send({ ...JSON.parse(text(data)), epoch: this.epoch }));
    this.#hostReady();
  }

  #addViewer(viewer: WebSocket): void {
    this.#viewers.add(viewer);
    viewer.on('close', () => this.#viewers.delete(viewer));
    viewer.on('message', (data) => {
      const message = JSON.parse(text(data)) as ViewerMessage;
      if (message.type === 'join' && this.rejection !== undefined) this.#reject(viewer);
      else this.#onMessage(message);
    });
  }

  #reject(viewer: WebSocket): void {
    viewer.send(JSON.stringify({ type: 'error', code: this.rejection, message: 'rejected' }));
    viewer.close(4000);
    this.rejection = undefined;
  }

  #onMessage(message: ViewerMessage): void {
    this.received.push(message);
    if (message.type === 'join') {
      this.send({
        type: 'joined',
        session: message.session,
        viewer: message.viewer ?? 'vw_12345678',
        resume: 'secret-of-the-viewer',
        avatar: 'demo',
        ...(this.matte !== undefined && { alpha: 'stack' as const }),
        iceServers: [],
        relayOnly: false,
        heartbeatMs: 2000,
      });
      if (message.connection === undefined) this.#offer();
    } else if (message.type === 'reconnect') this.#offer();
    else if (message.type === 'ping') this.send({ type: 'pong' });
    else if (message.type === 'answer' || message.type === 'candidate') this.#host?.send(JSON.stringify(message));
  }

  #offer(): void {
    const connection = `connection-${this.connections.length}`;
    this.connections.push(connection);
    const { color, matte, canSpeak } = this;
    this.#host?.send(JSON.stringify({ type: 'connect', connection, color, matte, canSpeak }));
  }
}

function text(data: RawData): string {
  return data.toString();
}

const HOST_PAGE = `<!doctype html><title>host</title><script type="module">
const socket = new WebSocket('ws://' + location.host + '/host-socket');
const send = (message) => socket.send(JSON.stringify(message));
const peers = new Map();
function videoTrack(color, matte) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 240 });
  const context = canvas.getContext('2d');
  let frame = 0;
  setInterval(() => {
    context.fillStyle = color; context.fillRect(0, 0, 320, 240);
    if (matte) { context.fillStyle = matte; context.fillRect(0, 120, 320, 120); }
    context.fillStyle = '#888'; context.fillRect(frame++ % 300, 0, 20, 8);
  }, 33);
  return canvas.captureStream(30).getVideoTracks()[0];
}
function audioTrack() {
  const audio = new AudioContext();
  const tone = new OscillatorNode(audio, { frequency: 440 });
  const destination = audio.createMediaStreamDestination();
  tone.connect(new GainNode(audio, { gain: 0.1 })).connect(destination);
  tone.start();
  return destination.stream.getAudioTracks()[0];
}
function listenTo(track) {
  const audio = new AudioContext();
  const analyser = new AnalyserNode(audio, { fftSize: 4096 });
  const stream = new MediaStream([track]);
  // Chromium decodes only what is played somewhere.
  Object.assign(new Audio(), { muted: true, srcObject: stream }).play();
  audio.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  window.heard = () => {
    analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);
  };
}
const handlers = {
  async connect({ connection, color, matte, canSpeak }) {
    const peer = new RTCPeerConnection();
    peers.set(connection, peer);
    const stream = new MediaStream([videoTrack(color, matte), audioTrack()]);
    for (const track of stream.getTracks()) {
      const direction = canSpeak && track.kind === 'audio' ? 'sendrecv' : 'sendonly';
      peer.addTransceiver(track, { direction, streams: [stream] });
    }
    peer.ontrack = ({ track }) => listenTo(track);
    peer.onicecandidate = ({ candidate }) => candidate && send({ type: 'candidate', connection, candidate });
    await peer.setLocalDescription();
    // All connections' tracks have the same ids, as those of the media-sender.
    const sdp = peer.localDescription.sdp.replace(/(m=(audio|video)[^]*?a=msid:)\\S+ \\S+/g, '$1humancast humancast-$2');
    send({ type: 'offer', connection, sdp });
  },
  answer: ({ connection, sdp }) => peers.get(connection)?.setRemoteDescription({ type: 'answer', sdp }),
  candidate: ({ connection, candidate }) => peers.get(connection)?.addIceCandidate(candidate),
  silence: ({ connection }) => peers.get(connection)?.getSenders().forEach((sender) => sender.replaceTrack(null)),
};
socket.onmessage = ({ data }) => { const message = JSON.parse(data); handlers[message.type](message); };
</script>`;
