import type { ReceivedEvent } from '../history.ts';
import type { SessionHistory, SessionRule } from './session-history.ts';

/** Rules for a session's events, compared with the answers to its commands. */
export const EVENT_RULES: readonly SessionRule[] = [
  eventsAreInOrder,
  acceptedIsFinishedOnce,
  startsOnce,
  playedInQueueOrder,
  nothingAfterEnd,
  refusedIsNotDone,
  queuedAtMostOnce,
  nothingUnrequested,
  endIsReached,
];

/** A reader that resumes with `Last-Event-ID` receives each event once, in the order of the ids. */
function eventsAreInOrder({ events }: SessionHistory) {
  return pairs(events).flatMap(([before, after]) =>
    compareIds(before.event.id, after.event.id) < 0
      ? []
      : [violation('event-order', `event ${after.event.id} came after ${before.event.id}`, after.receivedMs)],
  );
}

/** Every queued segment finishes exactly once. */
function acceptedIsFinishedOnce({ commands, events, closed }: SessionHistory) {
  const finished = Map.groupBy(ofType(events, 'speech.finished'), ({ event }) => event.seq ?? -1);
  const twice = [...finished].filter(([, reports]) => reports.length > 1);
  const violations = twice.map(([seq, reports]) =>
    violation(
      'finished-once',
      `segment ${seq} was reported as finished ${reports.length} times`,
      reports[1]?.receivedMs,
    ),
  );
  if (!closed?.complete) return violations;
  const promised = commands.filter(({ outcome }) => outcome === 'ok').flatMap(({ seqs }) => seqs);
  const started = ofType(events, 'speech.started').map(({ event }) => event.seq ?? -1);
  for (const seq of new Set([...promised, ...started])) {
    if (finished.has(seq)) continue;
    violations.push(
      violation('accepted-lost', `segment ${seq} was queued and never reported as finished`, closed.atMs),
    );
  }
  return violations;
}

function startsOnce({ events }: SessionHistory) {
  const states = new Map<number, 'started' | 'finished'>();
  return events.flatMap(({ event: { type, seq = -1, reason }, receivedMs }) => {
    const before = states.get(seq);
    if (type === 'speech.started') {
      states.set(seq, 'started');
      return before ? [violation('started-once', `segment ${seq} started after it had ${before}`, receivedMs)] : [];
    }
    if (type !== 'speech.finished') return [];
    states.set(seq, 'finished');
    return reason === 'finished' && before === undefined
      ? [violation('started-once', `segment ${seq} finished without having started`, receivedMs)]
      : [];
  });
}

function playedInQueueOrder({ events }: SessionHistory) {
  const started = ofType(events, 'speech.started');
  const played = ofType(events, 'speech.finished').filter(({ event }) => event.reason === 'finished');
  return [started, played].flatMap((list) =>
    pairs(list).flatMap(([before, after]) =>
      (before.event.seq ?? 0) < (after.event.seq ?? 0)
        ? []
        : [violation('queue-order', `segment ${after.event.seq} came after ${before.event.seq}`, after.receivedMs)],
    ),
  );
}

function nothingAfterEnd({ commands, events }: SessionHistory) {
  const ended = events.findIndex(({ event }) => event.type === 'session.ended');
  const late = ended === -1 ? [] : events.slice(ended + 1);
  const end = commands.find(({ command, outcome }) => command === 'end' && outcome === 'ok');
  const accepted = commands.filter(
    ({ command, outcome, sentMs }) => end && command === 'speak' && outcome === 'ok' && sentMs > end.doneMs,
  );
  return [
    ...late.map(({ event, receivedMs }) => violation('after-end', `${event.type} after session.ended`, receivedMs)),
    ...accepted.map(({ doneMs }) => violation('after-end', 'speak was accepted after the session had ended', doneMs)),
  ];
}

/** A rejected command (4xx) has no effect. Each segment is requested once per session, so that its effect is recognized. */
function refusedIsNotDone({ commands, seqsOf }: SessionHistory) {
  const asked = commands.filter(({ command }) => command === 'speak');
  return asked
    .filter((speak) => speak.outcome === 'failed')
    .flatMap((rejected) => {
      const others = asked.filter((other) => other !== rejected);
      const done = rejected.segments.filter(
        (segment) => seqsOf.has(segment) && !others.some(({ segments }) => segments.includes(segment)),
      );
      return done.map((segment) =>
        violation(
          'rejected-but-done',
          `${segment} was queued although speak was answered ${rejected.answer}`,
          rejected.doneMs,
        ),
      );
    });
}

/** A command takes effect at most once, even if it is repeated with the same key after a lost answer. */
function queuedAtMostOnce({ commands, seqsOf }: SessionHistory) {
  const asked = commands.filter(({ command }) => command === 'speak');
  return [...seqsOf].flatMap(([segment, seqs]) => {
    const own = asked.filter(({ segments }) => segments.includes(segment));
    const distinct = new Set(own.map(({ key }, i) => key ?? i)).size;
    if (seqs.size <= Math.max(1, distinct)) return [];
    return [
      violation('queued-twice', `${segment} has the places ${[...seqs].join(', ')} in the queue`, own[0]?.doneMs),
    ];
  });
}

function nothingUnrequested({ commands, events, frameRuns }: SessionHistory) {
  const asked = new Set(commands.flatMap(({ segments }) => segments));
  const named = [
    ...events.map(({ event, receivedMs }) => ({ segment: event.segment, atMs: receivedMs, how: event.type })),
    ...frameRuns.map(({ segment, fromMs }) => ({ segment, atMs: fromMs, how: 'frames' })),
  ];
  return named
    .filter(({ segment, how }) => segment !== undefined && how !== 'playback.held' && !asked.has(segment))
    .map(({ segment, atMs, how }) => violation('unrequested', `${segment} (${how}) was never queued`, atMs));
}

/** Readers of an ended session's events receive `session.ended`. */
function endIsReached({ commands, closed }: SessionHistory) {
  const end = commands.find(({ command, outcome }) => command === 'end' && outcome === 'ok');
  return end && closed && !closed.complete
    ? [violation('events-lost', 'the events could not be read to session.ended', closed.atMs)]
    : [];
}

function violation(rule: string, detail: string, atMs: number | undefined) {
  return { rule, detail, atMs };
}

function ofType(events: readonly ReceivedEvent[], type: string): ReceivedEvent[] {
  return events.filter(({ event }) => event.type === type);
}

function pairs<T>(list: readonly T[]): [T, T][] {
  return list.slice(1).map((after, i) => [list[i] as T, after]);
}

/** Compares ids of stream entries: milliseconds and a sequence number, both decimal. */
function compareIds(a: string, b: string): number {
  const [aMs = '0', aNumber = '0'] = a.split('-');
  const [bMs = '0', bNumber = '0'] = b.split('-');
  return Number(BigInt(aMs) - BigInt(bMs)) || Number(aNumber) - Number(bNumber);
}
