const WIDTH = 120;
const HEIGHT = 28;
/** Minimum span on either side of zero, ms, so that noise looks small. */
const MIN_SPAN = 20;

/** Plots a minute of skew around zero, with gaps where it is unknown. */
export function Sparkline({ values }: { values: readonly (number | undefined)[] }) {
  const known = values.filter((value) => value !== undefined);
  const span = Math.max(MIN_SPAN, ...known.map(Math.abs)) * 1.1;
  const y = (value: number) => HEIGHT / 2 - (value / span) * (HEIGHT / 2);
  const x = (index: number) => WIDTH - (values.length - 1 - index) * (WIDTH / 59);
  let path = '';
  values.forEach((value, i) => {
    if (value === undefined) return;
    const isStart = i === 0 || values[i - 1] === undefined;
    path += `${isStart ? 'M' : 'L'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
  });
  return (
    <svg class="sparkline" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
      <line x1="0" x2={WIDTH} y1={HEIGHT / 2} y2={HEIGHT / 2} />
      <path d={path} />
    </svg>
  );
}
