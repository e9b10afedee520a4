/** The browser APIs that this package uses; tests replace them. */
export interface Environment {
  /** Whether WebRTC is available; it can be switched off. */
  readonly supported: boolean;
  readonly clock: Clock;
  /** @returns A random number, 0 ≤ x < 1. */
  random(): number;
  openSocket(url: string): Socket;
  createPeer(configuration: RTCConfiguration): PeerConnection;
  createStream(): MediaStream;
  /** Whether the page is visible: browsers present no frames in a hidden page. */
  isVisible(): boolean;
  /**
   * Calls back when the page is closed (`pagehide`), returns from the back/forward cache (`pageshow`), is shown again
   * (`visibilitychange`), or is online again.
   */
  onPage(what: PageEvent, listener: () => void): () => void;
}

export type PageEvent = 'pagehide' | 'pageshow' | 'visibilitychange' | 'online';

interface Clock {
  /** Monotonic milliseconds. */
  nowMs(): number;
  /** @returns A function that cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

export interface Socket {
  onopen: (() => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: string): void;
  close(): void;
}

export type PeerConnection = Pick<
  RTCPeerConnection,
  | 'addIceCandidate'
  | 'close'
  | 'connectionState'
  | 'createAnswer'
  | 'getStats'
  | 'getTransceivers'
  | 'localDescription'
  | 'setLocalDescription'
  | 'setRemoteDescription'
> & {
  onicecandidate: ((event: { candidate: RTCIceCandidate | null }) => void) | null;
  onconnectionstatechange: (() => void) | null;
  ontrack: ((event: { track: MediaStreamTrack; receiver: RTCRtpReceiver }) => void) | null;
};

export const browserEnvironment: Environment = {
  supported: 'RTCPeerConnection' in globalThis,
  clock: {
    nowMs: () => performance.now(),
    after(delayMs, run) {
      const timer = setTimeout(run, delayMs);
      return () => clearTimeout(timer);
    },
  },
  random: () => Math.random(),
  openSocket: (url) => new WebSocket(url) as Socket,
  createPeer: (configuration) => new RTCPeerConnection(configuration) as PeerConnection,
  createStream: () => new MediaStream(),
  isVisible: () => !document.hidden,
  onPage(what, listener) {
    const onEvent = (event: Event) => {
      if (what === 'pageshow' && !(event as PageTransitionEvent).persisted) return;
      if (what === 'visibilitychange' && document.hidden) return;
      listener();
    };
    addEventListener(what, onEvent);
    return () => removeEventListener(what, onEvent);
  },
};
