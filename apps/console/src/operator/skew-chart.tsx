import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { SkewHistory } from './skew-history.js';

const HEIGHT = 200;
/** EBU R37: sound at most 60 ms late, 40 ms early; picture minus voice, ms. */
const R37 = { from: -60, to: 40 } as const;
const DARK = '(prefers-color-scheme: dark)';

/** Two minutes of picture against voice, a curve for each viewer, and what EBU R37 allows as a band. */
export function SkewChart({ history }: { history: SkewHistory }) {
  const frame = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | undefined>(undefined);
  const dark = useDarkness();
  const names = history.viewers.map(({ viewer }) => viewer).join();

  // A canvas knows no style sheet: other colours, or other curves, are another chart.
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
  return <div class="skew-chart" ref={frame} role="img" aria-label={`Picture against voice: ${words}`} />;
}

function dataOf({ atSeconds, viewers }: SkewHistory): uPlot.AlignedData {
  return [[...atSeconds], ...viewers.map(({ skewMs }) => [...skewMs])];
}

function optionsOf(element: HTMLElement, viewers: readonly string[]): uPlot.Options {
  const colour = (name: string) => resolved(element, name);
  const [quiet, line, wash] = [colour('--quiet'), colour('--line'), colour('--accent-wash')];
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
      // Never narrower than what is allowed, so that rest looks like rest.
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
        stroke: colour('--accent'),
        width: 2,
        dash: i === 0 ? [] : [3 + 2 * i, 3],
        points: { show: false },
      })),
    ],
    hooks: { drawClear: [(chart) => drawBand(chart, wash)] },
  };
}

function drawBand(chart: uPlot, colour: string): void {
  const { ctx, bbox } = chart;
  const top = chart.valToPos(R37.to, 'y', true);
  const bottom = chart.valToPos(R37.from, 'y', true);
  ctx.fillStyle = colour;
  ctx.fillRect(bbox.left, top, bbox.width, bottom - top);
}

/** A colour of the style sheet as a canvas understands it. */
function resolved(element: HTMLElement, name: string): string {
  const probe = document.createElement('i');
  probe.style.color = `var(${name})`;
  element.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

function useDarkness(): boolean {
  const [dark, setDark] = useState(() => matchMedia(DARK).matches);
  useEffect(() => {
    const query = matchMedia(DARK);
    const changed = () => setDark(query.matches);
    query.addEventListener('change', changed);
    return () => query.removeEventListener('change', changed);
  }, []);
  return dark;
}
