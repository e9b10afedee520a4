/**
 * Draws the plot of the documentation: flash against beep over time, of humancast and the design for comparison, and their
 * distributions.
 */
import type { BrowserContext } from 'playwright-core';
import { median } from '../lib/stats.ts';
import { COLORS, drawing, INK, line, screenshot, text } from '../lib/svg.ts';
import type { Pair } from './pairs.ts';

export interface Series {
  readonly name: string;
  readonly pairs: readonly Pair[];
}

const WIDTH = 1200;
const HEIGHT = 470;
const PLOT = { left: 70, top: 104, right: 850, bottom: 400 };
const BARS = { left: 905, right: 1165 };
const SETTLE_S = 10;
const MIN_RANGE_MS = 60;

interface Dots {
  readonly name: string;
  readonly color: string;
  readonly dots: readonly { readonly s: number; readonly ms: number }[];
}

/** Renders the plot in the running browser. @param caption the machine, in one line. */
export async function drawPlot(
  context: BrowserContext,
  path: string,
  all: readonly Series[],
  caption: string,
): Promise<void> {
  await screenshot(context, path, drawing({ width: WIDTH, height: HEIGHT }, parts(all, caption)));
}

/** Centers each series on its median: the constant audio output delay is not the stream's. */
function around({ name, pairs }: Series, i: number): Dots {
  const settled = pairs.filter(({ atMs }) => atMs >= SETTLE_S * 1000);
  const middle = median(settled.map(({ errorMs }) => errorMs));
  const dots = pairs.map(({ atMs, errorMs }) => ({ s: atMs / 1000, ms: errorMs - middle }));
  return { name, color: COLORS[i % COLORS.length] ?? INK.strong, dots };
}

function parts(all: readonly Series[], caption: string): string[] {
  const series = all.map(around);
  const everything = series.flatMap(({ dots }) => dots);
  const lastS = Math.max(SETTLE_S, ...everything.map(({ s }) => s));
  const rangeMs = Math.max(MIN_RANGE_MS, Math.ceil(Math.max(...everything.map(({ ms }) => Math.abs(ms))) / 20) * 20);
  const x = (s: number) => PLOT.left + (s / lastS) * (PLOT.right - PLOT.left);
  const y = (ms: number) => (PLOT.top + PLOT.bottom) / 2 - (ms / rangeMs) * ((PLOT.bottom - PLOT.top) / 2);
  return [
    text(PLOT.left, 36, 'Video minus audio, as a browser presents them', { size: 21, weight: 600 }),
    text(PLOT.left, 60, 'flash minus beep, once a second, through TURN, each around its median; ms', { soft: true }),
    legend(series),
    `<rect x="${x(0)}" y="${PLOT.top}" width="${x(SETTLE_S) - x(0)}" height="${PLOT.bottom - PLOT.top}" fill="#f3f5f7"/>`,
    text(x(0) + 8, PLOT.bottom - 8, 'settling', { soft: true, size: 12 }),
    ...grid(y, rangeMs),
    ...timeAxis(x, lastS),
    ...series.map((one) => cloud(one, x, y)),
    ...histograms(series, y, rangeMs),
    text(PLOT.left, HEIGHT - 14, caption, { soft: true, size: 12 }),
  ];
}

function legend(series: readonly Dots[]): string {
  let at = PLOT.left;
  return series
    .map(({ name, color }) => {
      const entry = `<circle cx="${at + 5}" cy="81" r="5" fill="${color}"/>${text(at + 17, 86, name)}`;
      at += 45 + name.length * 7.5;
      return entry;
    })
    .join('');
}

function grid(y: (ms: number) => number, rangeMs: number): string[] {
  const step = rangeMs > 150 ? 100 : rangeMs > 80 ? 40 : 20;
  const lines: string[] = [];
  for (let ms = -Math.floor(rangeMs / step) * step; ms <= rangeMs; ms += step) {
    const color = ms === 0 ? INK.soft : INK.line;
    lines.push(line(PLOT.left, y(ms), PLOT.right, y(ms), color), line(BARS.left, y(ms), BARS.right, y(ms), color));
    const label = ms > 0 ? `+${ms}` : `${ms}`.replace('-', '−');
    lines.push(text(PLOT.left - 10, y(ms) + 4, label, { soft: true, size: 13, anchor: 'end' }));
  }
  return lines;
}

function timeAxis(x: (s: number) => number, lastS: number): string[] {
  const inMinutes = lastS > 300;
  const step = inMinutes ? 60 * Math.ceil(lastS / 600) : 10;
  const labels: string[] = [];
  for (let s = 0; s <= lastS; s += step) {
    const label = inMinutes ? `${s / 60} min` : `${s} s`;
    labels.push(text(x(s), PLOT.bottom + 20, label, { soft: true, size: 13, anchor: 'middle' }));
  }
  return labels;
}

function cloud({ dots, color }: Dots, x: (s: number) => number, y: (ms: number) => number): string {
  const marks = dots.map(({ s, ms }) => `<circle cx="${x(s).toFixed(1)}" cy="${y(ms).toFixed(1)}" r="3.6"/>`);
  return `<g fill="${color}" fill-opacity="0.8">${marks.join('')}</g>`;
}

/** Draws both distributions sideways on the same scales. */
function histograms(series: readonly Dots[], y: (ms: number) => number, rangeMs: number): string[] {
  const bin = rangeMs / 20;
  const column = (BARS.right - BARS.left) / series.length;
  const height = Math.abs(y(0) - y(bin)) - 1;
  const all = series.map(({ dots }) => shares(dots, bin));
  const most = Math.max(...all.flatMap((bins) => [...bins.values()]));
  return all.map((bins, i) => {
    const left = BARS.left + i * column;
    const bars = [...bins].map(([at, share]) => {
      const width = (share / most) * (column - 14);
      return `<rect x="${left}" y="${(y(at * bin) - height / 2).toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"/>`;
    });
    const { color = INK.strong, name = '' } = series[i] ?? {};
    const label = text(left, PLOT.bottom + 20, name, { soft: true, size: 13 });
    return `<g fill="${color}" fill-opacity="0.85">${bars.join('')}</g>${label}`;
  });
}

/** Counts the values after settling, by bin. */
function shares(dots: Dots['dots'], bin: number): Map<number, number> {
  const settled = dots.filter(({ s }) => s >= SETTLE_S);
  const bins = new Map<number, number>();
  for (const { ms } of settled) {
    const at = Math.round(ms / bin);
    bins.set(at, (bins.get(at) ?? 0) + 1 / settled.length);
  }
  return bins;
}
