import type { TrackPair } from './messages.js';

/** Running totals of one receiver, from `inbound-rtp` (webrtc-stats §8.2), with times in seconds as there. */
export interface InboundTotals {
  packetsReceived: number;
  packetsLost: number;
  bytesReceived: number;
  jitterBufferDelay: number;
  jitterBufferTargetDelay: number | undefined;
  jitterBufferMinimumDelay: number | undefined;
  jitterBufferEmittedCount: number;
  /** NTP time of the sender of what is being played, ms. */
  estimatedPlayoutTimestamp: number | undefined;
  /** Time of the snapshot, ms. */
  timestamp: number;
}

export interface ReceiverSnapshot {
  audio: (InboundTotals & { concealedSamples: number }) | undefined;
  video:
    | (InboundTotals & {
        framesDecoded: number;
        framesDropped: number;
        freezeCount: number;
        totalFreezesDuration: number;
        width: number;
        height: number;
      })
    | undefined;
  /** Round-trip time of the connectivity checks over the whole path, seconds. */
  roundTrip: number | undefined;
}

type Row = Readonly<Record<string, unknown>>;

/** The part of a browser's statistics that is used here. */
export function readReceiverStats(report: Pick<RTCStatsReport, 'forEach' | 'get'>): ReceiverSnapshot {
  const snapshot: ReceiverSnapshot = { audio: undefined, video: undefined, roundTrip: undefined };
  report.forEach((row: Row) => {
    if (row['type'] === 'inbound-rtp' && row['kind'] === 'audio') {
      snapshot.audio = { ...inbound(row), concealedSamples: count(row['concealedSamples']) };
    } else if (row['type'] === 'inbound-rtp' && row['kind'] === 'video') {
      snapshot.video = {
        ...inbound(row),
        framesDecoded: count(row['framesDecoded']),
        framesDropped: count(row['framesDropped']),
        freezeCount: count(row['freezeCount']),
        totalFreezesDuration: count(row['totalFreezesDuration']),
        width: count(row['frameWidth']),
        height: count(row['frameHeight']),
      };
    } else if (row['type'] === 'transport' && typeof row['selectedCandidatePairId'] === 'string') {
      const pair = report.get(row['selectedCandidatePairId']) as Row | undefined;
      snapshot.roundTrip = known(pair?.['currentRoundTripTime']);
    }
  });
  return snapshot;
}

function inbound(row: Row): InboundTotals {
  return {
    packetsReceived: count(row['packetsReceived']),
    packetsLost: count(row['packetsLost']),
    bytesReceived: count(row['bytesReceived']),
    jitterBufferDelay: count(row['jitterBufferDelay']),
    jitterBufferTargetDelay: known(row['jitterBufferTargetDelay']),
    jitterBufferMinimumDelay: known(row['jitterBufferMinimumDelay']),
    jitterBufferEmittedCount: count(row['jitterBufferEmittedCount']),
    estimatedPlayoutTimestamp: known(row['estimatedPlayoutTimestamp']) || undefined,
    timestamp: count(row['timestamp']),
  };
}

function known(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

function count(value: unknown): number {
  return known(value) ?? 0;
}

/**
 * @returns The delay of video relative to audio as played, ms; `undefined` until both tracks have had a sender report. It is
 * the sender's time of the audio being played minus that of the video. The two estimates have their own clock readings, so
 * they are first extrapolated to one instant.
 */
export function skewMsOf({ audio, video }: ReceiverSnapshot): number | undefined {
  if (audio?.estimatedPlayoutTimestamp === undefined || video?.estimatedPlayoutTimestamp === undefined)
    return undefined;
  const videoAtAudio = video.estimatedPlayoutTimestamp + (audio.timestamp - video.timestamp);
  return audio.estimatedPlayoutTimestamp - videoAtAudio;
}

/**
 * @returns The mean over what was played between two snapshots, ms; `undefined` if nothing was, or if the browser does not
 * report it.
 */
export function meanDelayMs(
  field: 'jitterBufferDelay' | 'jitterBufferTargetDelay' | 'jitterBufferMinimumDelay',
  before: InboundTotals | undefined,
  now: InboundTotals | undefined,
): number | undefined {
  const from = before?.[field];
  const to = now?.[field];
  if (!before || !now || from === undefined || to === undefined) return undefined;
  const emitted = now.jitterBufferEmittedCount - before.jitterBufferEmittedCount;
  return emitted > 0 ? ((to - from) / emitted) * 1000 : undefined;
}

/** Number of packets of both tracks; constant while no media arrives. */
export function packetsOf({ audio, video }: ReceiverSnapshot): number {
  return (audio?.packetsReceived ?? 0) + (video?.packetsReceived ?? 0);
}

export function pairOf<T>(audio: T | undefined, video: T | undefined): TrackPair<T> | undefined {
  return audio === undefined || video === undefined ? undefined : { audio, video };
}
