import type { ViewerState } from '@humancast/protocol';
import { megabits } from '../words.js';
import { signed, since, whole } from './words.js';

/** Shows the latest playback report of each viewer. */
export function ViewersTable({ viewers }: { viewers: readonly ViewerState[] }) {
  if (viewers.length === 0) return <p class="hint">No viewers.</p>;
  return (
    // Wider than a phone, so the table scrolls; the keyboard can reach it.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls must take the focus (WCAG 2.1.1)
    <section class="table-frame" tabIndex={0} aria-label="Viewers">
      <table>
        <thead>
          <tr>
            <th scope="col">Viewer</th>
            <th scope="col">Skew</th>
            <th scope="col" title="Rendition that is sent, 1 is the largest">
              Rung
            </th>
            <th scope="col" title="Bandwidth of the viewer's path, estimated / received">
              Rate
            </th>
            <th scope="col" title="Delay added to audio / video">
              Trim
            </th>
            <th scope="col" title="Jitter buffer of audio / video">
              Buffers
            </th>
            <th scope="col">Round trip</th>
            <th scope="col">Loss</th>
            <th scope="col">Frames</th>
            <th scope="col">Frozen</th>
            <th scope="col" title="Lost audio that was concealed">
              Concealed
            </th>
          </tr>
        </thead>
        <tbody>
          {viewers.map((viewer) => (
            <ViewerRow key={viewer.viewer} {...viewer} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function ViewerRow({ viewer, whep, joinedAtMs, sending, report }: ViewerState) {
  return (
    <tr>
      <th scope="row">
        <span class="mono">{viewer}</span>
        <span class="hint">
          {whep ? 'WHEP · ' : ''}
          {since(joinedAtMs)}
        </span>
      </th>
      <td>{signed(report?.skewMs)} ms</td>
      <td>{sending ? `${sending.rung + 1} of ${sending.rungs}` : '–'}</td>
      <td>
        {megabits(sending?.estimateBps)} / {megabits(times(report?.bytesReceived, 8))} Mb/s
      </td>
      <td>{pair(report?.trimMs)} ms</td>
      <td>{pair(report?.jitterBufferMs)} ms</td>
      <td>{whole(report?.roundTripMs)} ms</td>
      <td>{lossOf(report)}</td>
      <td>{whole(report?.framesDecoded)}/s</td>
      <td>{whole(report?.freezeMs)} ms</td>
      <td>{whole(times(report?.concealedSamples, 1 / 48))} ms</td>
    </tr>
  );
}

function times(value: number | undefined, factor: number): number | undefined {
  return value === undefined ? undefined : value * factor;
}

function pair(ms: { audio: number; video: number } | undefined): string {
  return ms ? `${whole(ms.audio)} / ${whole(ms.video)}` : '–';
}

function lossOf(report: ViewerState['report']): string {
  const lost = Math.max(0, report?.packetsLost ?? 0);
  const all = lost + (report?.packetsReceived ?? 0);
  return all === 0 ? '–' : `${((100 * lost) / all).toFixed(1)} %`;
}
