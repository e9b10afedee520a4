import { type Activity, EMPTY } from '../activity.js';

const LONGEST_NAME = 28;

interface ActivityProps {
  activity: Activity;
  playing: boolean;
  nameOf: (segment: string) => string;
}

/** Shows the current segment, the queue and the latest events. */
export function ActivityCard({ activity, playing, nameOf }: ActivityProps) {
  const { log } = activity;
  const { speaking, queue } = playing ? activity : EMPTY;
  return (
    <section class="card activity" aria-label="Activity">
      <h2>Activity</h2>
      <p class={`now ${speaking ? 'speaking' : ''}`}>
        <span class="bars" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        {speaking ? nameOf(speaking.segment) : playing ? 'Idle' : 'Nothing is playing'}
      </p>
      {queue.length > 0 && (
        <ol class="queue" aria-label="Next">
          {queue.map(({ seq, segment }) => (
            <li key={seq}>{nameOf(segment)}</li>
          ))}
        </ol>
      )}
      {log.length > 0 && (
        <ul class="log" aria-label="What happened">
          {log.slice(0, 8).map((entry) => (
            <li key={entry.id}>
              <time>{clockTime(entry.atMs)}</time>
              <span>{entry.segment ? `${shortened(nameOf(entry.segment))} ${entry.text}` : entry.text}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** @returns the beginning of a long name, such as a typed text. */
function shortened(name: string): string {
  return name.length <= LONGEST_NAME ? name : `${name.slice(0, LONGEST_NAME - 1).trimEnd()}…`;
}

function clockTime(atMs: number): string {
  return new Date(atMs).toLocaleTimeString([], {
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hour12: false,
  });
}
