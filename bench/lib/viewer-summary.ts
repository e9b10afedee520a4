import { type LightViewer } from '@humancast/testkit';
import { percentile } from './stats.ts';

export interface Summary {
  readonly viewers: number;
  readonly playing: number;
  readonly waiting: number;
  readonly frames: number;
  readonly packets: number;
  readonly lost: number;
  readonly reordered: number;
  readonly duplicates: number;
  readonly badTimestamps: number;
  /** Playout time that was never sent, ms. */
  readonly silentMs: number;
  /** Number of sender reports, and their largest distance from the line, ms. */
  readonly reports: number;
  readonly reportLineMs: number;
  readonly firstFrameMs: { readonly p50: number; readonly p95: number };
  /** Each viewer's longest time between two frames, ms. */
  readonly longestGapMs: { readonly p50: number; readonly p95: number; readonly worst: number };
  readonly reconnects: number;
  readonly socketLosses: number;
  /** Number of changes to another connection. */
  readonly moves: number;
}

export function summarize(viewers: readonly LightViewer[]): Summary {
  const records = viewers.map(({ record }) => record);
  const links = records.flatMap((record) => record.links);
  const tracks = links.flatMap(({ tracks: { audio, video } }) => [audio.faults, video.faults]);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const firstFrames = records.flatMap(({ firstFrameMs }) => firstFrameMs ?? []);
  const gaps = records.map(({ longestGapMs }) => longestGapMs);
  return {
    viewers: viewers.length,
    playing: viewers.filter(({ playing }) => playing).length,
    waiting: records.filter(({ waitingPosition }) => waitingPosition !== undefined).length,
    frames: sum(records.map(({ frames }) => frames)),
    packets: sum(tracks.map(({ packets }) => packets)),
    lost: sum(tracks.map(({ lost }) => lost)),
    reordered: sum(tracks.map(({ reordered }) => reordered)),
    duplicates: sum(tracks.map(({ duplicates }) => duplicates)),
    badTimestamps: sum(tracks.map(({ badTimestamps }) => badTimestamps)),
    silentMs: Math.round(sum(links.map(({ tracks: { audio } }) => audio.faults.skippedTicks)) / 48),
    reports: sum(links.flatMap(({ reports: { audio, video } }) => [audio.reports, video.reports])),
    reportLineMs: round(
      Math.max(0, ...links.flatMap(({ reports: { audio, video } }) => [audio.worstMs, video.worstMs])),
    ),
    firstFrameMs: { p50: round(percentile(firstFrames, 0.5)), p95: round(percentile(firstFrames, 0.95)) },
    longestGapMs: {
      p50: round(percentile(gaps, 0.5)),
      p95: round(percentile(gaps, 0.95)),
      worst: round(Math.max(0, ...gaps)),
    },
    reconnects: sum(records.map(({ reconnects }) => reconnects)),
    socketLosses: sum(records.map(({ socketLosses }) => socketLosses)),
    moves: sum(records.map((record) => Math.max(0, record.links.length - 1))),
  };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}
