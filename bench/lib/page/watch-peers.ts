/// <reference lib="dom" />
/**
 * Gives a page access to the peer connections that the client makes.
 * @returns A function that undoes it.
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
