import type { ClientStats, SessionEvent, SessionState } from '@humancast/client';
import type { HumanCastElement } from '@humancast/element';
import { type Activity, EMPTY, withEvent, withState } from './activity.js';
import { ApiError, type Credentials, createSession, getSession } from './api.js';
import { isOver, OwnSessions, type Visit } from './visit.js';
import { isConnected } from './words.js';

/** Maximum number of attempts while the avatar is still loading. */
const READY_ATTEMPTS = 30;
const READY_RETRY_MS = 1000;
/** Seconds of statistics kept for the sparkline. */
const HISTORY_LENGTH = 60;

export interface Conversation {
  state: SessionState;
  credentials: Credentials | undefined;
  activity: Activity;
  stats: ClientStats | undefined;
  skewHistory: readonly (number | undefined)[];
  /** The reason for which playback ended or failed for good. */
  failure: { code: string; message: string } | undefined;
  /** Whether the avatar is still loading. */
  preparing: boolean;
  /** Whether typed text can be spoken. */
  canSay: boolean;
}

export const NOT_YET: Conversation = {
  state: 'connecting',
  credentials: undefined,
  activity: EMPTY,
  stats: undefined,
  skewHistory: [],
  failure: undefined,
  preparing: false,
  canSay: false,
};

export type UpdateConversation = (change: (was: Conversation) => Partial<Conversation>) => void;

/**
 * One attempt at the conversation that the address names: creates or resumes the session, plays it in the element, and
 * follows its events until it ends.
 */
export class ConversationRun {
  readonly #visit: Exclude<Visit, { kind: 'choose' }>;
  readonly #cast: HumanCastElement;
  readonly #update: UpdateConversation;
  readonly #own = new OwnSessions(sessionStorage);
  readonly #listening = new AbortController();
  #credentials: Credentials | undefined;
  #hasPlayed = false;
  #closed = false;

  constructor(visit: Exclude<Visit, { kind: 'choose' }>, cast: HumanCastElement, update: UpdateConversation) {
    this.#visit = visit;
    this.#cast = cast;
    this.#update = update;
  }

  async start(): Promise<void> {
    const { signal } = this.#listening;
    this.#cast.addEventListener('statechange', ({ detail }) => this.#changed(detail ?? undefined), { signal });
    this.#cast.addEventListener('sessionevent', ({ detail }) => this.#happened(detail), { signal });
    this.#cast.addEventListener('stats', ({ detail }) => this.#measured(detail), { signal });
    if (this.#visit.kind === 'session') {
      this.#join(this.#visit.credentials);
      return;
    }
    const kept = this.#own.get(this.#visit.avatar);
    if (kept) this.#join(kept);
    else await this.#create(this.#visit.avatar);
  }

  /** Loads the queue from the server. */
  async refresh(): Promise<void> {
    if (!this.#credentials) return;
    try {
      const state = await getSession(this.#credentials);
      if (!this.#closed)
        this.#update(({ activity }) => ({ activity: withState(activity, state), canSay: state.canSay === true }));
    } catch {
      // Events carry the same, slightly less reliably.
    }
  }

  close(): void {
    this.#closed = true;
    this.#listening.abort();
    this.#cast.session = '';
  }

  async #create(avatar: string): Promise<void> {
    for (let attempt = 0; !this.#closed; attempt++) {
      try {
        const made = await createSession(avatar);
        if (this.#closed) return;
        this.#own.keep(avatar, made);
        this.#join(made);
        return;
      } catch (error) {
        const { code, message, retryAfterMs } = error instanceof ApiError ? error : new ApiError('internal', '');
        if (this.#closed) return;
        if (code !== 'avatar_has_no_idle' || attempt >= READY_ATTEMPTS) {
          this.#update(() => ({ state: 'failed', preparing: false, failure: { code, message } }));
          return;
        }
        // The clips are still being encoded right after the start.
        this.#update(() => ({ preparing: true }));
        await new Promise((resolve) => setTimeout(resolve, retryAfterMs ?? READY_RETRY_MS));
      }
    }
  }

  #join(credentials: Credentials): void {
    this.#credentials = credentials;
    this.#update(() => ({ credentials, preparing: false }));
    this.#cast.session = credentials.id;
    this.#cast.token = credentials.token;
    // The same session may be joined again.
    this.#cast.load();
  }

  #changed(state: SessionState | undefined): void {
    if (state === undefined) return;
    this.#hasPlayed ||= isConnected(state);
    if (state === 'failed' || state === 'ended') this.#over(state);
    else this.#update(() => ({ state }));
    if (state === 'playing') void this.refresh();
  }

  /** Replaces a stored session that has ended before anything of it was shown; otherwise tells why it is over. */
  #over(state: SessionState): void {
    let { code, message } = this.#cast.error ?? { code: 'session_ended', message: '' };
    if (this.#visit.kind === 'avatar' && isOver(code)) {
      this.#own.forget(this.#visit.avatar);
      if (!this.#hasPlayed) {
        void this.#create(this.#visit.avatar);
        return;
      }
      code = 'session_ended';
    }
    this.#update(() => ({ state, failure: { code, message } }));
  }

  #happened(event: SessionEvent): void {
    this.#update(({ activity }) => ({ activity: withEvent(activity, event) }));
  }

  #measured(stats: ClientStats): void {
    this.#update(({ skewHistory }) => ({ stats, skewHistory: [...skewHistory, stats.skewMs].slice(-HISTORY_LENGTH) }));
  }
}
