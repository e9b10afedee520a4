import type { ViewerPage } from '@humancast/testkit';

/** Statistics of the page's playback. */
export interface Figures {
  /** Number of peer connections created so far. */
  readonly connections: number;
  readonly framesDecoded: number;
  /** Height of the video, pixels. */
  readonly height: number;
  readonly audioSamples: number;
  /** Audio samples that the browser made up, silence excluded. */
  readonly concealedSamples: number;
  /** Video minus audio, ms: positive when the video is late. */
  readonly skewMs: number;
  readonly jitterBufferTargets: readonly (number | null)[];
}

/** Whether video and audio are less than 60 ms apart. */
export function inSync({ skewMs }: Figures): boolean {
  return Math.abs(skewMs) < 60;
}

/** @returns The statistics of the page's newest connection. */
export function figures({ page }: ViewerPage): Promise<Figures> {
  return page.evaluate(async () => {
    const { peers } = window as unknown as { peers: RTCPeerConnection[] };
    const peer = peers.at(-1);
    const rows = [...((await peer?.getStats())?.values() ?? [])].filter(({ type }) => type === 'inbound-rtp');
    const [audio, video] = ['audio', 'video'].map((kind) => rows.find((row) => row.kind === kind));
    return {
      connections: peers.length,
      framesDecoded: video?.framesDecoded ?? 0,
      height: video?.frameHeight ?? 0,
      audioSamples: audio?.totalSamplesReceived ?? 0,
      concealedSamples: (audio?.concealedSamples ?? 0) - (audio?.silentConcealedSamples ?? 0),
      skewMs: (audio?.estimatedPlayoutTimestamp ?? Number.NaN) - (video?.estimatedPlayoutTimestamp ?? Number.NaN),
      jitterBufferTargets: peer?.getReceivers().map(({ jitterBufferTarget }) => jitterBufferTarget) ?? [],
    };
  });
}
