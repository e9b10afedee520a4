import type { HumancastError, SessionRecord } from '@humancast/shared';
import { Counter, Gauge, type Registry } from 'prom-client';

const LIVING_STATES = ['new', 'queued', 'hosted'] as const;

/** Metrics of this service; names start with `humancast_signaling_`. */
export class SignalingMetrics {
  readonly connections: Gauge;
  readonly eventStreams: Gauge;
  readonly listeners: Gauge;
  readonly droppedVoice: Counter;
  readonly waitingViewers: Gauge;
  readonly joins: Counter<'kind'>;
  readonly errors: Counter<'code'>;
  readonly limited: Counter<'limit'>;
  readonly credentials: Counter;
  readonly sessions: Counter<'kind'>;
  readonly released: Counter;
  readonly #sessionStates: Gauge<'state'>;

  constructor(registry: Registry) {
    const registers = [registry];
    const name = (suffix: string) => `humancast_signaling_${suffix}`;
    this.connections = new Gauge({ name: name('connections'), help: 'Open signaling WebSockets', registers });
    this.eventStreams = new Gauge({ name: name('event_streams'), help: 'Open server-sent event streams', registers });
    this.listeners = new Gauge({ name: name('listeners'), help: "Producers that hear a session's viewers", registers });
    this.droppedVoice = new Counter({
      name: name('dropped_voice_seconds_total'),
      help: "Audio of viewers' microphones dropped because the producer did not read in time, in seconds",
      registers,
    });
    this.waitingViewers = new Gauge({
      name: name('waiting_viewers'),
      help: 'Joined viewers waiting for an offer',
      registers,
    });
    this.joins = new Counter({
      name: name('joins_total'),
      help: 'Viewers joined, by kind: new, resumed, WHEP',
      labelNames: ['kind'],
      registers,
    });
    this.errors = new Counter({
      name: name('errors_total'),
      help: 'Errors returned over HTTP and WebSocket, by code',
      labelNames: ['code'],
      registers,
    });
    this.limited = new Counter({
      name: name('limited_total'),
      help: 'Requests and connections rejected by a limit, by setting',
      labelNames: ['limit'],
      registers,
    });
    this.credentials = new Counter({
      name: name('turn_credentials_total'),
      help: 'TURN credentials issued',
      registers,
    });
    this.sessions = new Counter({
      name: name('sessions_total'),
      help: 'Sessions created, by a producer or a demo visitor',
      labelNames: ['kind'],
      registers,
    });
    this.#sessionStates = new Gauge({
      name: 'humancast_sessions',
      help: 'Sessions in the registry, by state; queued: waiting for a host. All signaling processes report the same',
      labelNames: ['state'],
      registers,
    });
    this.released = new Counter({
      name: name('sessions_released_total'),
      help: 'Sessions released from dead media-senders',
      registers,
    });
  }

  /** Counts an error that was sent to a caller. */
  countError({ code, extra }: HumancastError): void {
    this.errors.inc({ code });
    if (typeof extra['limit'] === 'string') this.limited.inc({ limit: extra['limit'] });
  }

  /** Updates the session gauges. */
  sessionsSeen(sessions: readonly Pick<SessionRecord, 'state'>[]): void {
    for (const state of LIVING_STATES) {
      this.#sessionStates.set({ state }, sessions.filter((session) => session.state === state).length);
    }
  }
}
