import type { SessionEvent } from '@humancast/client';
import type { Sender, SessionDetails, SessionSegment } from '@humancast/protocol';
import { useCallback, useEffect, useMemo, useState } from 'preact/hooks';
import { type Activity, EMPTY, seconds, withEvent, withState } from '../activity.js';
import { ApiError } from '../api.js';
import { ActivityCard } from '../parts/activity-card.js';
import { titleOf } from '../parts/segments-card.js';
import { ConfirmButton } from './confirm-button.js';
import type { OperatorApi } from './operator-api.js';
import { SkewChart } from './skew-chart.js';
import { NO_HISTORY, withLook } from './skew-history.js';
import { usePoll } from './use-poll.js';
import { ViewersTable } from './viewers-table.js';
import { since } from './words.js';

const POLL_MS = 1000;
const RETRY_MS = 3000;

interface SessionPanelProps {
  api: OperatorApi;
  id: string;
  senders: readonly Sender[];
}

/** One session: what it plays, how it is seen, and what can be done about it. */
export function SessionPanel({ api, id, senders }: SessionPanelProps) {
  const [history, setHistory] = useState(NO_HISTORY);
  const [activity, setActivity] = useState<Activity>(EMPTY);
  const [problem, setProblem] = useState<string | undefined>(undefined);
  const segments = useSegments(api, id);
  const names = useMemo(() => new Map(segments.map((segment) => [segment.id, titleOf(segment)])), [segments]);
  const ask = useCallback(() => api.session(id), [api, id]);
  const {
    value: session,
    error,
    refresh,
  } = usePoll(ask, POLL_MS, (state) => {
    setHistory((was) => withLook(was, state.viewers, Date.now()));
    setActivity((was) => withState(was, state));
  });
  useEvents(api, id, (event) => setActivity((was) => withEvent(was, event)));

  const act = (what: Promise<unknown>) => {
    setProblem(undefined);
    what.then(refresh, (thrown: unknown) => setProblem(thrown instanceof ApiError ? thrown.message : String(thrown)));
  };

  if (!session) {
    return <p class="hint">{error ? wordsOf(error) : 'Loading …'}</p>;
  }
  const over = session.state === 'ended';
  return (
    <>
      <Head session={session} hostname={senders.find((sender) => sender.id === session.host)?.hostname} />
      {problem !== undefined && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      <Tools
        segments={segments}
        over={over}
        onSpeak={(segment) => act(api.speak(id, segment))}
        onInterrupt={() => act(api.interrupt(id))}
        onEnd={() => act(api.end(id))}
      />
      <section class="card" aria-label="Picture against voice">
        <h2>Picture against voice, ms</h2>
        <SkewChart history={history} />
        <p class="hint">Above zero the picture is late. The band is what EBU R37 allows.</p>
      </section>
      <section class="card" aria-label="Viewers">
        <h2>
          Viewers <span class="count">{session.viewers.length}</span>
        </h2>
        <ViewersTable viewers={session.viewers} />
      </section>
      <div class="pair">
        <Playout session={session} nameOf={(segment) => names.get(segment) ?? segment} />
        <ActivityCard
          activity={activity}
          playing={session.state === 'hosted'}
          nameOf={(segment) => names.get(segment) ?? segment}
        />
      </div>
    </>
  );
}

function Head({ session, hostname }: { session: SessionDetails; hostname: string | undefined }) {
  const { avatar, id, state, host, epoch, createdAtMs, endReason } = session;
  return (
    <header class="session-head">
      <h2>
        <span class="state-dot" data-state={state} />
        {avatar}
      </h2>
      <p class="hint">
        <span class="mono">{id}</span> · {since(createdAtMs)} old ·{' '}
        {state === 'hosted' ? `on ${hostname ?? host}, host number ${epoch}` : state}
        {endReason === undefined ? '' : `: ${endReason}`}
      </p>
    </header>
  );
}

interface ToolsProps {
  segments: readonly SessionSegment[];
  over: boolean;
  onSpeak: (segment: string) => void;
  onInterrupt: () => void;
  onEnd: () => void;
}

function Tools({ segments, over, onSpeak, onInterrupt, onEnd }: ToolsProps) {
  const [chosen, setChosen] = useState('');
  const segment = chosen || (segments[0]?.id ?? '');
  return (
    <form
      class="tools"
      onSubmit={(event) => {
        event.preventDefault();
        if (segment !== '') onSpeak(segment);
      }}
    >
      <select
        aria-label="Segment to speak"
        value={segment}
        disabled={over || segments.length === 0}
        onChange={(event) => setChosen(event.currentTarget.value)}
      >
        {segments.length === 0 && <option value="">No segments</option>}
        {segments.map((item) => (
          <option key={item.id} value={item.id}>
            {titleOf(item)} ({seconds(item.durationMs)})
          </option>
        ))}
      </select>
      <button type="submit" class="button tool accent" disabled={over || segment === ''}>
        Speak
      </button>
      <button type="button" class="button tool" disabled={over} onClick={onInterrupt}>
        Interrupt
      </button>
      <ConfirmButton label="End" question="End it for everyone?" disabled={over} onConfirm={onEnd} />
    </form>
  );
}

function Playout({ session, nameOf }: { session: SessionDetails; nameOf: (segment: string) => string }) {
  const { playhead, prefetchedMs, underruns, held, live, state } = session;
  return (
    <section class="card playout" aria-label="Playout">
      <h2>Playout</h2>
      <dl>
        <dt>Playhead</dt>
        <dd>
          {playhead
            ? `${playhead.role === 'idle' ? 'Idle' : nameOf(playhead.segment)}, ${seconds(playhead.positionMs)}`
            : '–'}
        </dd>
        <dt>In memory ahead</dt>
        <dd>{prefetchedMs === undefined ? '–' : seconds(prefetchedMs)}</dd>
        <dt>Underruns</dt>
        <dd>
          {underruns ?? '–'}
          {held ? ', holding now' : ''}
        </dd>
        <dt>Told by</dt>
        <dd>
          {live ? 'its host, just now' : state === 'hosted' ? 'the registry: its host does not answer' : 'the registry'}
        </dd>
      </dl>
    </section>
  );
}

function useSegments(api: OperatorApi, id: string): readonly SessionSegment[] {
  const [segments, setSegments] = useState<readonly SessionSegment[]>([]);
  useEffect(() => {
    let current = true;
    api.segments(id).then(
      (loaded) => current && setSegments(loaded.filter(({ state }) => state !== 'failed')),
      // Then nothing can be chosen; the session itself says why.
      () => {},
    );
    return () => {
      current = false;
    };
  }, [api, id]);
  return segments;
}

/** Follows the events for as long as the session is shown; a stream that breaks is opened again. */
function useEvents(api: OperatorApi, id: string, onEvent: (event: SessionEvent) => void): void {
  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    const follow = () => {
      const again = () => {
        if (!abort.signal.aborted) timer = setTimeout(follow, RETRY_MS);
      };
      api.follow(id, onEvent, abort.signal).then(again, again);
    };
    follow();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [api, id]);
}

function wordsOf({ code, message }: ApiError): string {
  return code === 'session_not_found' ? 'There is no such session, or not any more.' : message || code;
}
