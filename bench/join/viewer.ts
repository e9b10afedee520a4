/// <reference lib="dom" />
/** The page of the join benchmark: joins sessions with the product's client, one after the other, and measures the time. */
import { connect } from '@humancast/client';
import { watchPeers } from '../lib/page/watch-peers.ts';

/** Milliseconds since the call of `connect`. */
export interface JoinTimes {
  /** Arrival of the host's offer: the WebSocket is open and the session has a host. */
  readonly offerMs: number;
  /** Completion of ICE and DTLS. */
  readonly connectedMs: number;
  /** The first decoded frame was handed to the compositor. */
  readonly firstFrameMs: number;
}

interface JoinBench {
  join(options: { url: string; session: string; token: string }): Promise<JoinTimes>;
}

declare global {
  var joinBench: JoinBench;
}

const TIMEOUT_MS = 10_000;

globalThis.joinBench = {
  async join({ url, session: id, token }) {
    const video = Object.assign(document.createElement('video'), { width: 1280, height: 720 });
    document.body.replaceChildren(video);
    const times = { offerMs: Number.NaN, connectedMs: Number.NaN };
    const startedMs = performance.now();
    const since = () => performance.now() - startedMs;
    const restore = watchPeers((peer) => {
      peer.addEventListener('signalingstatechange', () => {
        if (peer.signalingState === 'have-remote-offer') times.offerMs = since();
      });
      peer.addEventListener('connectionstatechange', () => {
        if (peer.connectionState === 'connected') times.connectedMs = since();
      });
    });
    const session = connect({ url, session: id, token, video });
    try {
      const firstFrameMs = (await firstPresentation(video)) - startedMs;
      return { ...times, firstFrameMs };
    } finally {
      restore();
      session.close();
    }
  },
};

function firstPresentation(video: HTMLVideoElement): Promise<number> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no frame arrived')), TIMEOUT_MS);
    video.requestVideoFrameCallback((_now, { presentationTime }) => {
      clearTimeout(timer);
      resolve(presentationTime);
    });
  });
}
