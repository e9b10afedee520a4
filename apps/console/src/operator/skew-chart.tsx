import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { SkewHistory } from './skew-history.js';

const HEIGHT = 200;
/** EBU R37 limits of video minus audio, ms: audio at most 60 ms late and 40 ms early. */
const R37 = { from: -60, to: 40 } as const;
const DARK = '(prefers-color-scheme: dark)';

/** Plots the last two minutes of lip sync skew, one curve per viewer, with the EBU R37 limits as a band. */
export function SkewChart({ history }: { history: SkewHistory }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const dark = usePrefersDark();
  const names = history.viewers.map(({ viewer }) => viewer).join();

  // A canvas ignores the style sheet, so other colors or curves need a new chart.
  useEffect(() => {
    const element = frame.current;
    if (!element) return;
    const chart = new uPlot(optionsOf(element, names === '' ? [] : names.split(',')), dataOf(history), element);
    plot.current = chart;
    const resized = new ResizeObserver(() => chart.setSize({ width: element.clientWidth, height: HEIGHT }));
    resized.observe(element);
    return () => {
      resized.disconnect();
      chart.destroy();
    };
  }, [names, dark]);
  useEffect(() => plot.current?.setData(dataOf(history)), [history]);

  const latest = history.viewers.map(({ skewMs }) => skewMs.at(-1)).filter((value) => typeof value === 'number');
  const words = latest.length === 0 ? 'unknown' : latest.map((value) => `${Math.round(value)} ms`).join(', ');
  return <div class="skew-chart" ref={frame} role="img" aria-label={`Lip sync: ${words}`} />;
}

function dataOf({ atSeconds, viewers }: SkewHistory): uPlot.AlignedData {
  return [[...atSeconds], ...viewers.map(({ skewMs }) => [...skewMs])];
}

function optionsOf(element: HTMLElement, viewers: readonly string[]): uPlot.Options {
  const color = (name: string) => resolved(element, name);
  const [quiet, line, wash] = [color('--quiet'), color('--line'), color('--accent-wash')];
  const axis: uPlot.Axis = {
    stroke: quiet,
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    font: '12px sans-serif',
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false },
    scales: {
      x: { time: true, range: (_, __, max) => [max - 120, max] },
      // The range never gets narrower than the limits, so that noise looks small.
      y: { range: (_, min, max) => [Math.min(min, R37.from) - 10, Math.max(max, R37.to) + 10] },
    },
    axes: [
      {
        ...axis,
        size: 26,
        space: 90,
        values: (_, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString([], { hour12: false })),
      },
      { ...axis, size: 48, values: (_, ticks) => ticks.map((tick) => `${tick}`) },
    ],
    series: [
      {},
      ...viewers.map((viewer, i) => ({
        label: viewer,
        stroke: color('--accent'),
        width: 2,
        dash: i === 0 ? [] : [3 + 2 * i, 3],
        points: { show: false },
      })),
    ],
    hooks: { drawClear: [(chart) => drawBand(chart, wash)] },
  };
}

function drawBand(chart: uPlot, color: string): void {
  const { ctx, bbox } = chart;
  const top = chart.valToPos(R37.to, 'y', true);
  const bottom = chart.valToPos(R37.from, 'y', true);
  ctx.fillStyle = color;
  ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
}

/** @returns A CSS variable's color in a form that a canvas accepts. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function usePrefersDark(): boolean {
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const query = matchMedia(DARK);
    const changed = () => setDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  return dark;
}
