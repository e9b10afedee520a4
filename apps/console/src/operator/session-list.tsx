import type { Sender, SessionSummary } from '@humancast/protocol';
import { useState } from 'preact/hooks';
import { since } from './words.js';

/** Maximum number of rows, to keep the page fast; the filter finds the others. */
const SHOWN = 100;

const STATES = { new: 'No viewer yet', queued: 'Waiting for a host', hosted: 'Playing', ended: 'Ended' } as const;

interface SessionListProps {
  sessions: readonly SessionSummary[];
  senders: readonly Sender[];
  chosen: string | undefined;
}

/** Lists all sessions, newest first. Each is a link, which can be opened in a new tab or shared. */
export function SessionList({ sessions, senders, chosen }: SessionListProps) {
  const [filter, setFilter] = useState('');
  const hostnames = new Map(senders.map(({ id, hostname }) => [id, hostname]));
  const wanted = filter.trim().toLowerCase();
  const found = sessions.filter(({ id, avatar, host = '', state }) =>
    [id, avatar, host, hostnames.get(host) ?? '', STATES[state]].some((text) => text.toLowerCase().includes(wanted)),
  );
  return (
    <section aria-label="Sessions">
      <div class="list-head">
        <h2>
          Sessions <span class="count">{sessions.length}</span>
        </h2>
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter sessions by avatar, id, media-sender or state"
          value={filter}
          onInput={(event) => setFilter(event.currentTarget.value)}
        />
      </div>
      {found.length === 0 ? (
        <p class="hint">{sessions.length === 0 ? 'No sessions.' : 'No session matches.'}</p>
      ) : (
        <ul class="sessions">
          {found.slice(0, SHOWN).map(({ id, avatar, state, host, createdAtMs, demo }) => (
            <li key={id}>
              <a class="session-row" href={`#${id}`} aria-current={id === chosen ? 'true' : undefined}>
                <span class="state-dot" data-state={state} title={STATES[state]} />
                <span class="session-name">
                  {avatar}
                  {demo && <span class="badge">demo</span>}
                  <span class="hint mono">{id}</span>
                </span>
                <span class="session-where hint">
                  <span>{host ? (hostnames.get(host) ?? host) : STATES[state]}</span>
                  <span>{since(createdAtMs)}</span>
                </span>
              </a>
            </li>
          ))}
        </ul>
      )}
      {found.length > SHOWN && <p class="hint">And {found.length - SHOWN} more: filter to see them.</p>}
    </section>
  );
}
