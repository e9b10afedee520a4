import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import { ApiError } from '../api.js';
import { Brand } from '../parts/brand.js';
import { FolderProblems } from './folder-problems.js';
import { KeyForm } from './key-form.js';
import { KeyStore } from './key-store.js';
import './operator.css';
import { OperatorApi } from './operator-api.js';
import { SenderCard } from './sender-card.js';
import { SessionList } from './session-list.js';
import { SessionPanel } from './session-panel.js';
import { usePoll } from './use-poll.js';

const POLL_MS = 2000;
const keys = new KeyStore(sessionStorage);

/** `/?operate`: live media-senders and sessions; `#SESSION` selects one. */
export function OperatorPage() {
  const [key, setKey] = useState(() => keys.get());
  const [refused, setRefused] = useState(false);
  const refuse = useCallback(() => {
    keys.forget();
    setKey(undefined);
    setRefused(true);
  }, []);
  useEffect(() => {
    document.title = 'Operations · humancast';
  }, []);
  return (
    <div class="operator">
      <header class="bar">
        <Brand />
        <h1>Operations</h1>
        {key !== undefined && (
          <button
            type="button"
            class="button tool leave"
            onClick={() => {
              keys.forget();
              setKey(undefined);
              setRefused(false);
            }}
          >
            Sign out
          </button>
        )}
      </header>
      {key === undefined ? (
        <main class="key-main">
          <KeyForm
            refused={refused}
            onKey={(given) => {
              keys.keep(given);
              setKey(given);
            }}
          />
        </main>
      ) : (
        <Fleet key={key} apiKey={key} onRefused={refuse} />
      )}
    </div>
  );
}

function Fleet({ apiKey, onRefused }: { apiKey: string; onRefused: () => void }) {
  const api = useMemo(() => new OperatorApi(apiKey), [apiKey]);
  const chosen = useChosen();
  const poll = useCallback(async () => {
    const [senders, sessions] = await Promise.all([api.senders(), api.sessions()]);
    return { senders, sessions };
  }, [api]);
  const { value, error, refresh } = usePoll(poll, POLL_MS);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  useEffect(() => {
    if (error && ['unauthorized', 'forbidden'].includes(error.code)) onRefused();
  }, [error, onRefused]);
  if (!value) {
    return (
      <main class="key-main">
        <p class="hint" role={error ? 'alert' : 'status'}>
          {error ? error.message || error.code : 'Loading …'}
        </p>
      </main>
    );
  }
  const { senders, sessions } = value;
  const drain = (sender: string) => {
    setProblem(undefined);
    api.drain(sender).then(refresh, (thrown: unknown) => {
      setProblem(thrown instanceof ApiError ? thrown.message : String(thrown));
    });
  };
  return (
    <main class="fleet" data-chosen={chosen !== undefined}>
      <div class="lists">
        {error && (
          <p class="problem" role="alert">
            {error.message || error.code} Showing the last known state.
          </p>
        )}
        {problem !== undefined && (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <section aria-label="Media-senders">
          <h2>
            Media-senders <span class="count">{senders.length}</span>
          </h2>
          {senders.length === 0 && <p class="hint">No media-sender is running, so nothing can play.</p>}
          <ul class="senders">
            {senders.map((sender) => (
              <SenderCard key={sender.id} sender={sender} onDrain={() => drain(sender.id)} />
            ))}
          </ul>
        </section>
        <FolderProblems api={api} />
        <SessionList sessions={sessions} senders={senders} chosen={chosen} />
      </div>
      <div class="detail" aria-live="off">
        {chosen === undefined ? (
          <p class="hint empty">Choose a session to see its playout and viewers.</p>
        ) : (
          <>
            <a class="button tool back" href="?operate" onClick={leave}>
              ← All sessions
            </a>
            <SessionPanel key={chosen} api={api} id={chosen} senders={senders} />
          </>
        )}
      </div>
    </main>
  );
}

/** Closes the selected session without reloading the page. */
function leave(event: Event): void {
  event.preventDefault();
  location.hash = '';
}

/** @returns the session id after the `#` of the address. */
function useChosen(): string | undefined {
  const read = () => location.hash.slice(1) || undefined;
  const [chosen, setChosen] = useState(read);
  useEffect(() => {
    const changed = () => setChosen(read());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return chosen;
}
