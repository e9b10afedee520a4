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
import { NO_HISTORY, withReports } from './skew-history.js';
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

/** Shows one session: its playout, its viewers and the controls. */
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
    setHistory((was) => withReports(was, state.viewers, Date.now()));
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
      <section class="card" aria-label="Lip sync">
        <h2>Lip sync: video − audio, ms</h2>
        <SkewChart history={history} />
        <p class="hint">Above zero, video is late. The band shows the EBU R37 limits.</p>
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
        {state === 'hosted' ? `on ${hostname ?? host}, epoch ${epoch}` : state}
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
      <ConfirmButton label="End" question="End for all viewers?" disabled={over} onConfirm={onEnd} />
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
        <dt>Prefetched</dt>
        <dd>{prefetchedMs === undefined ? '–' : seconds(prefetchedMs)}</dd>
        <dt>Underruns</dt>
        <dd>
          {underruns ?? '–'}
          {held ? ', waiting for media now' : ''}
        </dd>
        <dt>Source</dt>
        <dd>
          {live ? 'media-sender' : state === 'hosted' ? 'registry; the media-sender does not respond' : 'registry'}
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
      // The list stays empty; the session itself reports the error.
      () => {},
    );
    return () => {
      current = false;
    };
  }, [api, id]);
  return segments;
}

/** Follows the session's events while it is shown, and reconnects when the stream breaks. */
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
  return code === 'session_not_found' ? 'This session does not exist or has ended.' : message || code;
}
