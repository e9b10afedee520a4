import type { Figure } from '../lib/figures.ts';
import { type Line, mean, median, type Point, percentile, spread, trend } from '../lib/stats.ts';
import type { ViewerRun } from './browser.ts';
import { type Pair, pairUp } from './pairs.ts';
import { refreshGridOf, trendOnGrid } from './refresh-grid.ts';

/** Time that is left out at the start: the browser has no estimate before two sender reports, and the trim needs seconds. */
const SETTLE_MS = 10_000;
const MINUTE_MS = 60_000;

/** Figures of one run without aims, and their raw data. */
export interface ViewerFigures {
  readonly estimates: readonly Point[];
  readonly presented: readonly Pair[];
  readonly firstFrameMs: number;
  readonly senderCpuPercent: number;
  readonly unseen: number;
  readonly concealedMs: number;
  readonly freezes: number;
}

/** Times since the start of the connection. */
export function readRun({ measurement, senderCpu }: ViewerRun): ViewerFigures {
  const { startedMs, firstFrameMs, flashesMs, beepsMs, skew, audio, video } = measurement;
  return {
    estimates: skew.map(({ atMs, skewMs }) => ({ x: atMs - startedMs, y: skewMs })),
    presented: pairUp(flashesMs, beepsMs).map(({ atMs, errorMs }) => ({ atMs: atMs - startedMs, errorMs })),
    firstFrameMs: (firstFrameMs ?? Number.NaN) - startedMs,
    senderCpuPercent: senderCpu * 100,
    unseen: measurement.flashesUnseen,
    concealedMs: ((audio['concealedSamples'] ?? 0) / 48_000) * 1000,
    freezes: video['freezeCount'] ?? 0,
  };
}

/** @param judged whether the figures have aims. */
export function figuresOf(group: string, run: ViewerFigures, options: { judged: boolean; trends: boolean }): Figure[] {
  const estimates = run.estimates.filter(({ x }) => x >= SETTLE_MS);
  const presented = run.presented.filter(({ atMs }) => atMs >= SETTLE_MS);
  const skews = estimates.map(({ y }) => y);
  const errors = presented.map(({ errorMs }) => errorMs);
  const middle = median(errors);
  const ms = { group, unit: 'ms' };
  const aim = (figure: Figure): Figure => {
    const { aim: _, ...unjudged } = figure;
    return options.judged ? figure : unjudged;
  };
  return [
    aim({
      ...ms,
      name: "the browser's own estimate, |p95|",
      aim: { atMost: 6 },
      value: percentile(skews.map(Math.abs), 0.95),
      note: `${skews.length} samples after 10 s`,
    }),
    { ...ms, name: "the browser's own estimate, mean", value: mean(skews) },
    { ...ms, name: "the browser's own estimate, least", value: Math.min(...skews) },
    { ...ms, name: "the browser's own estimate, most", value: Math.max(...skews) },
    aim({
      ...ms,
      name: 'flash minus beep as presented, spread',
      aim: { atMost: 40 },
      value: spread(errors),
      note: `${errors.length} pairs after 10 s, ${run.unseen} uncertain flashes`,
    }),
    {
      ...ms,
      name: 'flash minus beep as presented, p95 from the median',
      value: percentile(
        errors.map((error) => Math.abs(error - middle)),
        0.95,
      ),
    },
    ...(options.trends
      ? [aim(trendFigure(group, 'trend of the estimate', trend(estimates))), aim(presentedTrend(group, presented))]
      : []),
    { ...ms, digits: 0, name: 'first frame', value: run.firstFrameMs },
    { group, unit: '% of a core', name: 'CPU of the sending process', value: run.senderCpuPercent },
    { ...ms, digits: 0, name: 'audio concealed by the browser', value: run.concealedMs },
    { group, unit: '', digits: 0, name: 'freezes', value: run.freezes },
  ];
}

function presentedTrend(group: string, presented: readonly Pair[]): Figure {
  const grid = refreshGridOf(presented);
  const underTeeth = trendOnGrid(presented, grid);
  const plain = trend(presented.map(({ atMs, errorMs }) => ({ x: atMs, y: errorMs })));
  const figure = trendFigure(group, 'trend as presented', underTeeth ?? plain);
  const refreshes = `refreshes every ${grid.periodMs.toFixed(3)} ms slip ${(grid.slipMs * 1000).toFixed(0)} µs a flash`;
  const how = underTeeth ? `taken out: ${refreshes}` : `not taken out, the run is too short: ${refreshes}`;
  return { ...figure, note: `${figure.note}; ${how}` };
}

function trendFigure(group: string, name: string, { slope, slopeMargin }: Line): Figure {
  return {
    group,
    name,
    aim: { within: 0.1 },
    value: slope * MINUTE_MS,
    unit: 'ms/min',
    digits: 3,
    note: `± ${(slopeMargin * MINUTE_MS).toFixed(3)} (95 %)`,
  };
}
