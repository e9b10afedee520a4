import { type ClientStats, connect, type Session, type SessionState } from '@humancast/client';
import { type Activity, EMPTY, withEvent, withState } from './activity.js';
import { ApiError, BASE_URL, type Credentials, createSession, getSession } from './api.js';
import { InterruptMute } from './interrupt-mute.js';
import { isOver, OwnSessions, type Visit } from './visit.js';
import { isConnected } from './words.js';

/** Maximum number of attempts while the avatar is still loading. */
const READY_ATTEMPTS = 30;
const READY_RETRY_MS = 1000;
/** Seconds of statistics kept for the sparkline. */
const HISTORY_LENGTH = 60;

export interface Conversation {
  state: SessionState;
  waitingPosition: number | undefined;
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
  waitingPosition: undefined,
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
 * One attempt at the conversation that the address names: creates or resumes the session, plays it in the video element, and
 * follows its events until it ends.
 */
export class ConversationRun {
  readonly #visit: Exclude<Visit, { kind: 'choose' }>;
  readonly #video: HTMLVideoElement;
  readonly #update: UpdateConversation;
  readonly #own = new OwnSessions(sessionStorage);
  readonly #interruptMute: InterruptMute;
  #credentials: Credentials | undefined;
  #session: Session | undefined;
  #closed = false;

  constructor(visit: Exclude<Visit, { kind: 'choose' }>, video: HTMLVideoElement, update: UpdateConversation) {
    this.#visit = visit;
    this.#video = video;
    this.#update = update;
    this.#interruptMute = new InterruptMute(video);
  }

  async start(): Promise<void> {
    if (this.#visit.kind === 'session') {
      this.#join(this.#visit.credentials);
      return;
    }
    const kept = this.#own.get(this.#visit.avatar);
    if (kept) this.#join(kept);
    else await this.#create(this.#visit.avatar);
  }

  get session(): Session | undefined {
    return this.#session;
  }

  interrupt(): void {
    if (this.#session?.interrupt()) this.#interruptMute.begin();
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
    this.#interruptMute.end();
    this.#session?.close();
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
    const visit = this.#visit;
    this.#credentials = credentials;
    this.#update(() => ({ credentials, preparing: false }));
    let hasPlayed = false;
    const session = connect({
      url: BASE_URL,
      session: credentials.id,
      token: credentials.token,
      video: this.#video,
      onState: (state) => {
        if (this.#closed || session !== this.#session) return;
        hasPlayed ||= isConnected(state);
        this.#update(() => ({ state, waitingPosition: session.waitingPosition }));
        if (state === 'playing') void this.refresh();
        if (state === 'ended') this.#ended();
      },
      onError: ({ code, message, fatal }) => {
        if (this.#closed || !fatal || session !== this.#session) return;
        if (visit.kind !== 'avatar' || !isOver(code)) {
          this.#update(() => ({ failure: { code, message } }));
          return;
        }
        this.#own.forget(visit.avatar);
        if (hasPlayed) this.#update(() => ({ failure: { code: 'session_ended', message } }));
        else this.#startOver(visit.avatar);
      },
      onEvent: (event) => {
        if (this.#closed) return;
        this.#interruptMute.onEvent(event);
        this.#update(({ activity }) => ({ activity: withEvent(activity, event) }));
      },
      onStats: (stats) => {
        if (this.#closed) return;
        this.#update(({ skewHistory }) => ({
          stats,
          skewHistory: [...skewHistory, stats.skewMs].slice(-HISTORY_LENGTH),
        }));
      },
    });
    this.#session = session;
  }

  /** Replaces a stored session that has ended before anything of it was shown. */
  #startOver(avatar: string): void {
    this.#session = undefined;
    void this.#create(avatar);
  }

  #ended(): void {
    if (this.#visit.kind === 'avatar') this.#own.forget(this.#visit.avatar);
    this.#update(({ failure }) => ({ failure: failure ?? { code: 'session_ended', message: '' } }));
  }
}
