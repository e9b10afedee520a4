import type { SessionDetails, SessionEvent } from '@humancast/protocol';

/** The current segment, the queue and the log of a session. */
export interface Activity {
  /** `undefined` while idle. */
  speaking: { seq: number; segment: string } | undefined;
  queue: readonly { seq: number; segment: string }[];
  /** Newest first. */
  log: readonly LogEntry[];
}

interface LogEntry {
  id: string;
  atMs: number;
  segment?: string;
  text: string;
}

export const EMPTY: Activity = { speaking: undefined, queue: [], log: [] };
const LOG_LENGTH = 30;

/** Replaces the queue and the current segment by the server's, which is more reliable than one built from events. */
export function withState(
  activity: Activity,
  { queue, playhead }: Pick<SessionDetails, 'queue' | 'playhead'>,
): Activity {
  const first = queue[0];
  const isSpeaking = playhead?.role === 'speech' && playhead.segment === first?.segment;
  const speaking = isSpeaking ? first : undefined;
  return { ...activity, speaking, queue: queue.filter((item) => item !== speaking) };
}

export function withEvent(activity: Activity, event: SessionEvent): Activity {
  if (activity.log.some(({ id }) => id === event.id)) return activity;
  const entry = entryOf(event);
  const log = entry ? [entry, ...activity.log].slice(0, LOG_LENGTH) : activity.log;
  if (event.type === 'speech.started') {
    const { seq, segment } = event;
    return { speaking: { seq, segment }, queue: activity.queue.filter((item) => item.seq !== seq), log };
  }
  if (event.type === 'speech.finished') {
    const speaking = activity.speaking?.seq === event.seq ? undefined : activity.speaking;
    return { speaking, queue: activity.queue.filter(({ seq }) => seq !== event.seq), log };
  }
  return { ...activity, log };
}

function entryOf(event: SessionEvent): LogEntry | undefined {
  const { id, atMs } = event;
  switch (event.type) {
    case 'speech.started':
      return { id, atMs, segment: event.segment, text: 'started' };
    case 'speech.finished':
      return { id, atMs, segment: event.segment, text: endOf(event) };
    case 'session.moved':
      return { id, atMs, text: 'Moved to another media-sender' };
    case 'session.ended':
      return { id, atMs, text: 'The conversation ended' };
    case 'session.interrupted':
      return { id, atMs, text: 'Interrupted' };
    case 'events.missed':
      return event.scope === 'all' ? { id, atMs, text: 'Some events were missed' } : undefined;
    case 'viewer.connected':
      return { id, atMs, text: 'A viewer connected' };
    case 'viewer.disconnected':
      return { id, atMs, text: 'A viewer disconnected' };
    case 'viewer.rung':
      return { id, atMs, text: `A viewer is sent rendition ${event.rung + 1} of ${event.rungs}` };
    case 'playback.held':
      return { id, atMs, segment: event.segment, text: `waited ${pause(event.heldMs)} for late media` };
    default:
      return undefined;
  }
}

function endOf({ reason, positionMs }: Extract<SessionEvent, { type: 'speech.finished' }>): string {
  switch (reason) {
    case 'finished':
      return 'finished';
    case 'interrupted':
      return `interrupted after ${seconds(positionMs)}`;
    case 'dropped':
      return 'dropped';
    case 'failed':
      return 'failed to play';
  }
}

/** Formats a short duration; most pauses are below 100 ms. */
function pause(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : seconds(ms);
}

/** Formats a duration: `12.3 s`, `2:05`. */
export function seconds(ms: number): string {
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  const whole = Math.round(ms / 1000);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
