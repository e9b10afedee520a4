import type { AvatarOverviewList, FolderProblem } from '@humancast/protocol';
import { useCallback } from 'preact/hooks';
import type { OperatorApi } from './operator-api.js';
import { usePoll } from './use-poll.js';

/** Twice the loader's scan interval, ms. */
const POLL_MS = 10_000;
/** Maximum number of problems shown unfolded, so that the sessions stay visible. */
const SHOWN_OPEN = 5;

interface Group {
  name: string;
  count: number;
  problems: FolderProblem[];
}

/** Lists the files of the media folder that cannot be played, and why. Renders nothing if there are none. */
export function FolderProblems({ api }: { api: OperatorApi }) {
  const poll = useCallback(() => api.avatars(), [api]);
  const { value } = usePoll(poll, POLL_MS);
  const groups = value ? groupsOf(value) : [];
  if (groups.length === 0) return null;
  const total = groups.reduce((sum, { count }) => sum + count, 0);
  return (
    <section aria-label="Media folder">
      <details class="card folder-problems" open={total <= SHOWN_OPEN}>
        <summary>
          <h2>
            Media folder: {total} {total === 1 ? 'problem' : 'problems'}
          </h2>
        </summary>
        {groups.map(({ name, count, problems }) => (
          <div key={name}>
            <h3>{name}</h3>
            <ul>
              {problems.map(({ file, code, message }) => (
                <li key={`${file} ${message}`} title={code}>
                  <span class="mono">{file}</span>
                  <span class="hint">{message}</span>
                </li>
              ))}
            </ul>
            {count > problems.length && <p class="hint">And {count - problems.length} more.</p>}
          </div>
        ))}
      </details>
    </section>
  );
}

function groupsOf({ avatars, problems: stray = [] }: AvatarOverviewList): Group[] {
  const own = avatars.map(({ id, name, problemCount = 0, problems = [] }) => ({
    name: name === id ? id : `${name} (${id})`,
    count: problemCount,
    problems,
  }));
  return [...own, { name: 'Outside avatar folders', count: stray.length, problems: stray }].filter(
    ({ count }) => count > 0,
  );
}
