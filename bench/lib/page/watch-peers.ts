/// <reference lib="dom" />
/**
 * The client makes its connections itself; this is how a page gets to see them.
 * @returns puts things back as they were.
 */
export function watchPeers(seen: (peer: RTCPeerConnection) => void): () => void {
  const Original = RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Original {
    constructor(configuration?: RTCConfiguration) {
      super(configuration);
      seen(this);
    }
  };
  return () => {
    globalThis.RTCPeerConnection = Original;
  };
}
