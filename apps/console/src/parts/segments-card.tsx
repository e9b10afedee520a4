import type { SessionSegment } from '@humancast/protocol';
import { useState } from 'preact/hooks';
import { seconds } from '../activity.js';
import { ApiError, type Credentials, speak } from '../api.js';
import { troubleOf } from '../words.js';
import { SpeakIcon } from './icons.js';

interface SegmentsProps {
  segments: readonly SessionSegment[] | undefined;
  credentials: Credentials;
  playing: boolean;
  onQueued: () => void;
}

/** Lists the segments the avatar can speak. */
export function SegmentsCard({ segments, credentials, playing, onQueued }: SegmentsProps) {
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const say = async (segment: SessionSegment) => {
    try {
      await speak(credentials, segment.id);
      setProblem(undefined);
      onQueued();
    } catch (error) {
      setProblem(error instanceof ApiError ? problemOf(error) : 'Something went wrong. Try again.');
    }
  };
  return (
    <section class="card segments" aria-label="Speak">
      <h2>Say something</h2>
      {problem && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {segments?.length === 0 && (
        <p class="hint">
          No segments yet. Put a video into <code>media/&lt;avatar&gt;/segments/</code>, and it appears here.
        </p>
      )}
      <ul>
        {segments?.map((segment) => (
          <li key={segment.id}>
            <span class="segment-name">{titleOf(segment)}</span>
            <span class="segment-length">{segment.state === 'open' ? 'live' : seconds(segment.durationMs)}</span>
            <button
              type="button"
              class="button speak"
              disabled={!playing || segment.state === 'failed'}
              aria-label={`Speak: ${titleOf(segment)}`}
              onClick={() => say(segment)}
            >
              <SpeakIcon />
              Speak
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** @returns a file's name without extension and hyphens. */
export function titleOf({ name }: Pick<SessionSegment, 'name'>): string {
  const bare = name
    .replace(/\.[a-z0-9]{2,4}$/i, '')
    .replaceAll(/[-_]+/g, ' ')
    .trim();
  return bare === '' ? name : bare.replace(/^./, (first) => first.toUpperCase());
}

function problemOf({ code, message }: ApiError): string {
  if (code === 'queue_full') return 'The queue is full. Wait for it to finish, or interrupt.';
  if (code === 'segment_not_found') return 'This segment no longer exists.';
  if (code === 'segment_not_ready') return 'This segment could not be loaded.';
  return troubleOf(code, message).title;
}
