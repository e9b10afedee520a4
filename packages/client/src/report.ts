import type { ViewerReport } from '@humancast/protocol';
import type { TrackPair } from './messages.js';
import { meanDelayMs, pairOf, type ReceiverSnapshot, skewMsOf } from './receiver-stats.js';

/** Statistics of one second for the page; values that the browser does not report are missing. */
export interface ClientStats {
  /** Delay of video relative to audio as played, ms. */
  skewMs: number | undefined;
  /** Delay that the lip-sync trim adds to each track, ms. */
  trimMs: TrackPair<number>;
  /** Delay of both tracks, so that repairs are in time and a queue on the path leaves them in sync, ms. */
  sharedDelayMs: number;
  /** Time in the jitter buffers, ms. */
  jitterBufferMs: TrackPair<number> | undefined;
  /** Decoded frames per second. */
  fps: number;
  /** Share of packets lost, 0–1. */
  loss: number;
  bitrateBps: number;
  roundTripMs: number | undefined;
  /** Freezes since the connection began. */
  freezes: number;
  width: number;
  height: number;
}

export function statsBetween(
  before: ReceiverSnapshot,
  now: ReceiverSnapshot,
  { trimMs, sharedDelayMs }: Pick<ClientStats, 'trimMs' | 'sharedDelayMs'>,
): ClientStats {
  const seconds = Math.max(0.001, ((now.video?.timestamp ?? 0) - (before.video?.timestamp ?? 0)) / 1000);
  const received = sum(before, now, 'packetsReceived');
  const lost = Math.max(0, sum(before, now, 'packetsLost'));
  return {
    skewMs: skewMsOf(now),
    trimMs,
    sharedDelayMs,
    jitterBufferMs: jitterBufferMs(before, now),
    fps: delta(before.video?.framesDecoded, now.video?.framesDecoded) / seconds,
    loss: received + lost > 0 ? lost / (received + lost) : 0,
    bitrateBps: (sum(before, now, 'bytesReceived') * 8) / seconds,
    roundTripMs: now.roundTrip === undefined ? undefined : now.roundTrip * 1000,
    freezes: now.video?.freezeCount ?? 0,
    width: now.video?.width ?? 0,
    height: now.video?.height ?? 0,
  };
}

/** Creates a report with all values within what the server accepts, however long ago the last report was. */
export function reportBetween(
  before: ReceiverSnapshot,
  now: ReceiverSnapshot,
  { trimMs, sharedDelayMs }: Pick<ClientStats, 'trimMs' | 'sharedDelayMs'>,
  firstFrameMs: number | undefined,
): ViewerReport {
  const skewMs = skewMsOf(now);
  const waited = jitterBufferMs(before, now);
  const { audio, video } = now;
  const frozenS = delta(before.video?.totalFreezesDuration, video?.totalFreezesDuration);
  return {
    trimMs: mapPair(trimMs, (ms) => within(ms, 2000)),
    sharedDelayMs: within(sharedDelayMs, 2000),
    bytesReceived: roundedWithin(sum(before, now, 'bytesReceived'), 1_000_000_000),
    packetsReceived: roundedWithin(sum(before, now, 'packetsReceived'), 1_000_000),
    packetsLost: roundedWithin(sum(before, now, 'packetsLost'), 1_000_000, -1_000_000),
    ...(skewMs !== undefined && { skewMs: within(skewMs, 10_000) }),
    ...(waited && { jitterBufferMs: mapPair(waited, (ms) => within(ms, 20_000)) }),
    ...(audio && {
      concealedSamples: roundedWithin(delta(before.audio?.concealedSamples, audio.concealedSamples), 10_000_000),
    }),
    ...(video && {
      freezes: roundedWithin(delta(before.video?.freezeCount, video.freezeCount), 10_000),
      freezeMs: within(frozenS * 1000, 3_600_000),
      framesDecoded: roundedWithin(delta(before.video?.framesDecoded, video.framesDecoded), 10_000),
      framesDropped: roundedWithin(delta(before.video?.framesDropped, video.framesDropped), 10_000),
      width: roundedWithin(video.width, 16_384),
      height: roundedWithin(video.height, 16_384),
    }),
    ...(now.roundTrip !== undefined && { roundTripMs: within(now.roundTrip * 1000, 60_000) }),
    ...(firstFrameMs !== undefined && { firstFrameMs: within(firstFrameMs, 600_000) }),
  };
}

/** The initial snapshot of a connection, from which its first report counts. */
export const NOTHING_YET: ReceiverSnapshot = { audio: undefined, video: undefined, roundTrip: undefined };

function jitterBufferMs(before: ReceiverSnapshot, now: ReceiverSnapshot): TrackPair<number> | undefined {
  return pairOf(
    meanDelayMs('jitterBufferDelay', before.audio, now.audio),
    meanDelayMs('jitterBufferDelay', before.video, now.video),
  );
}

/** @returns The difference of both tracks' counts. */
export function sum(
  before: ReceiverSnapshot,
  now: ReceiverSnapshot,
  field: 'packetsReceived' | 'packetsLost' | 'bytesReceived',
): number {
  return delta(before.audio?.[field], now.audio?.[field]) + delta(before.video?.[field], now.video?.[field]);
}

function delta(before = 0, now = before): number {
  return now - before;
}

function within(value: number, limit: number): number {
  return Math.max(-limit, Math.min(limit, value));
}

function roundedWithin(value: number, max: number, min = 0): number {
  return Math.round(Math.max(min, Math.min(max, value)));
}

function mapPair<T, U>({ audio, video }: TrackPair<T>, map: (value: T) => U): TrackPair<U> {
  return { audio: map(audio), video: map(video) };
}
