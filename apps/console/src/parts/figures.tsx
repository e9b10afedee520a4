import type { ClientStats } from '@humancast/client';
import { megabits } from '../words.js';
import { Sparkline } from './sparkline.js';

interface FiguresProps {
  stats: ClientStats | undefined;
  skewHistory: readonly (number | undefined)[];
  session: string | undefined;
}

/** Shows the playback quality that this browser measures. */
export function Figures({ stats, skewHistory, session }: FiguresProps) {
  return (
    <section class="card figures" aria-label="Quality">
      <div class="skew">
        <div>
          <h2>Lip sync</h2>
          <p class="skew-value">
            {signed(stats?.skewMs)}
            <span> ms</span>
          </p>
        </div>
        <Sparkline values={skewHistory} />
      </div>
      <dl>
        <Figure name="Frames" value={whole(stats?.fps)} unit="fps" />
        <Figure name="Video" value={stats?.height ? `${stats.width}×${stats.height}` : '–'} unit="" />
        <Figure name="Rate" value={megabits(stats?.bitrateBps)} unit="Mb/s" />
        <Figure name="Round trip" value={whole(stats?.roundTripMs)} unit="ms" />
        <Figure
          name="Buffer"
          value={buffers(stats)}
          unit="ms"
          title={`Jitter buffer of audio / video, with ${whole(stats?.sharedDelayMs)} ms for repairs and queues`}
        />
        <Figure name="Loss" value={stats ? (stats.loss * 100).toFixed(1) : '–'} unit="%" />
      </dl>
      {session && (
        <p class="session-id">
          Session
          <button type="button" title="Copy" onClick={() => void navigator.clipboard?.writeText(session)}>
            {session}
          </button>
        </p>
      )}
    </section>
  );
}

function Figure({ name, value, unit, title }: { name: string; value: string; unit: string; title?: string }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>
        {value} <span>{unit}</span>
      </dd>
    </div>
  );
}

function whole(value: number | undefined): string {
  return value === undefined ? '–' : String(Math.round(value));
}

/** Formats with a sign; the minus is as wide as the plus. */
function signed(value: number | undefined): string {
  if (value === undefined) return '–';
  const rounded = Math.round(value);
  if (rounded === 0) return '0';
  return `${rounded > 0 ? '+' : '−'}${Math.abs(rounded)}`;
}

function buffers(stats: ClientStats | undefined): string {
  const buffered = stats?.jitterBufferMs;
  return buffered ? `${Math.round(buffered.audio)} / ${Math.round(buffered.video)}` : '–';
}
