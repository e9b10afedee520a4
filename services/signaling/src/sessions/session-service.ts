import type { BargeIn, Interrupted, MessageData, ShownState, Spoken } from '@humancast/protocol';
import {
  type AvatarStore,
  type Command,
  HumancastError,
  idOf,
  type Logger,
  type MediaStore,
  newId,
  type SegmentManifest,
  type SegmentSummary,
  type SessionRecord,
  type SessionRegistry,
  type SigningKeys,
  type Speech,
  signToken,
  summaryOf,
  type TokenClaims,
  type Tracer,
  traced,
  traceFields,
} from '@humancast/shared';
import type { SignalingMetrics } from '../metrics.js';
import type { QueueMemory } from '../routing/queue-memory.js';
import type { SessionRouter } from '../routing/session-router.js';
import type { Fleet } from '../senders/fleet.js';

const LIMIT_RETRY_SECONDS = 5;
const IDLE_RETRY_SECONDS = 1;
const SPOKEN_LIMIT = 100;

export interface SessionLimits {
  sessionLimit: number;
  demoSessionLimit: number;
  sessionQueueLimit: number;
  tokenSecret: SigningKeys;
  sessionTokenTtlSeconds: number;
}

export interface SpeakOptions {
  interrupt: boolean;
  turn?: number | undefined;
  mayUse: (segment: SegmentSummary) => boolean;
  key?: string | undefined;
  traceparent?: string | undefined;
  command?: Command | undefined;
}

interface InterruptOptions {
  key?: string | undefined;
  turn?: number | undefined;
  command?: Command | undefined;
}

interface NewSessionOptions {
  demo: boolean;
  key?: string | undefined;
  wait?: boolean;
  microphone?: boolean;
  bargeIn?: BargeIn;
  command?: Command | undefined;
}

export interface NewSession {
  id: string;
  avatar: string;
  token: string;
  /** The token of viewers that may speak. */
  microphoneToken: string | undefined;
  scope: TokenClaims['scope'];
  /** Expiry of the tokens, ms since the Unix epoch. */
  expiresAtMs: number;
  turn: number;
}

/** Creates, controls and ends sessions. Callers check permissions. */
export class SessionService {
  readonly #registry: SessionRegistry;
  readonly #avatars: AvatarStore;
  readonly #media: MediaStore;
  readonly #router: SessionRouter;
  readonly #speech: Speech;
  readonly #fleet: Fleet;
  readonly #queueMemory: QueueMemory;
  readonly #metrics: SignalingMetrics;
  readonly #logger: Logger;
  readonly #tracer: Tracer;
  readonly #limits: SessionLimits;

  constructor(
    parts: {
      registry: SessionRegistry;
      avatars: AvatarStore;
      media: MediaStore;
      router: SessionRouter;
      speech: Speech;
      fleet: Fleet;
      queueMemory: QueueMemory;
      metrics: SignalingMetrics;
      logger: Logger;
      tracer: Tracer;
    },
    limits: SessionLimits,
  ) {
    this.#registry = parts.registry;
    this.#avatars = parts.avatars;
    this.#media = parts.media;
    this.#router = parts.router;
    this.#speech = parts.speech;
    this.#fleet = parts.fleet;
    this.#queueMemory = parts.queueMemory;
    this.#metrics = parts.metrics;
    this.#logger = parts.logger;
    this.#tracer = parts.tracer;
    this.#limits = limits;
  }

  /**
   * Creates a session.
   * @param demo Whether a visitor without a key creates it, who then controls it.
   * @param key The name of the API key that creates and owns it.
   * @param wait Whether it may wait while every media-sender is full.
   * @param microphone Whether a token for viewers that may speak is issued, too.
   * @param bargeIn What the avatar does while they speak.
   * @param command The request, if it has an `Idempotency-Key`: repeating it returns the same session.
   * @throws HumancastError `avatar_not_found`, `avatar_has_no_idle`, `session_limit`, `no_capacity`,
   * `idempotency_key_reused`.
   */
  async create(
    avatar: string,
    { demo, key, wait = true, microphone = false, bargeIn = 'off', command }: NewSessionOptions,
  ): Promise<NewSession> {
    // The id is derived from the API key and the Idempotency-Key, so that a repeated request finds it and nobody can guess
    // it.
    const id = command ? idOf('ses', `${key} ${command.key}`, this.#limits.tokenSecret) : newId('ses');
    if (!command || !(await this.#registry.exists(id))) {
      this.#queueMemory.require();
      await this.#requireReady(avatar);
      await this.#requireRoom(demo);
      if (!wait) await this.#fleet.requirePlace();
    }
    const isNew = await this.#registry.create(id, avatar, { demo, owner: key, bargeIn, command });
    if (isNew) this.#metrics.sessions.inc({ kind: demo ? 'demo' : 'producer' });
    this.#logger.info({ session: id, avatar, demo, key, isNew }, 'session created');
    const scope = demo ? 'control' : 'view';
    const exp = Math.floor(Date.now() / 1000) + this.#limits.sessionTokenTtlSeconds;
    const sign = (claims: Pick<TokenClaims, 'microphone'>) =>
      signToken({ sid: id, exp, scope, ...claims }, this.#limits.tokenSecret);
    const [token, microphoneToken] = [await sign({}), microphone ? await sign({ microphone }) : undefined];
    const turn = isNew ? 0 : (await this.#registry.get(id)).turn;
    return { id, avatar, token, microphoneToken, scope, expiresAtMs: exp * 1000, turn };
  }

  /**
   * Ends a session.
   * @param key Name of the API key that ends it, for the log.
   * @returns Whether this call ended it.
   * @throws HumancastError `session_not_found`.
   */
  async end(id: string, reason: string, key?: string): Promise<boolean> {
    const { ended, ...endedAt } = await this.#registry.end(id, reason);
    await this.#router.sessionEnded(id, reason, endedAt);
    if (ended) this.#logger.info({ session: id, reason, key }, 'session ended');
    return ended;
  }

  /**
   * Queues segments in order; with `interrupt`, in place of everything that is queued or playing.
   * @throws HumancastError `session_not_found`, `session_ended`, `segment_not_found`, `segment_wrong_avatar`,
   * `segment_not_ready`, `interrupted`, `queue_full`; then nothing is queued.
   * @param options.turn The turn for which they were made; default: the current one.
   * @param options.mayUse Whether the caller may use this segment here; others are reported as not found.
   * @param options.key The name of the caller's API key, for the log.
   * @param options.traceparent The caller's trace context.
   */
  speak(id: string, segments: readonly string[], options: SpeakOptions): Promise<Spoken> {
    const { interrupt, traceparent } = options;
    const attributes = { session: id, segments: segments.length, interrupt };
    const span = this.#tracer.start('session.speak', { parent: traceparent, kind: 'server', attributes });
    return traced(span, () => this.#queue(id, segments, { ...options, traceparent: span.traceparent }));
  }

  /**
   * Ends everything queued, and begins a new turn.
   * @param options.key Name of the API key that interrupts, for the log.
   * @param options.turn Interrupts only this turn; default: the current one.
   * @returns The sequence number of the last segment that was ended, and the new turn.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`, `idempotency_key_reused`.
   */
  async interrupt(id: string, { key, turn: stated, command }: InterruptOptions = {}): Promise<Interrupted> {
    const { interruptedSeq, turn, host } = await this.#registry.interrupt(id, { turn: stated, command });
    if (host !== undefined) {
      await this.#router.send(host, { type: 'session.interrupt', session: id, seq: interruptedSeq });
    }
    this.#logger.info({ session: id, interruptedSeq, turn, key }, 'session interrupted');
    return { interruptedSeq, turn };
  }

  /**
   * Sets the idle state, which is shown whenever there is no speech.
   * @param turn The turn to which the state belongs; default: the current one.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`.
   */
  async setState(id: string, state: string, stated: number | undefined): Promise<ShownState> {
    const { turn, host } = await this.#registry.setState(id, state, stated);
    if (host !== undefined) await this.#router.send(host, { type: 'session.state', session: id });
    return { state, turn };
  }

  /**
   * Sends a message to the pages of the session's viewers, or of one of them.
   * @throws HumancastError `session_not_found`, `session_ended`, `idempotency_key_reused`.
   */
  async sendToViewers(id: string, data: MessageData, viewer: string | undefined, command?: Command): Promise<void> {
    await this.#registry.message(
      id,
      { type: 'session.message', ...(viewer !== undefined && { viewer }), data },
      command,
    );
  }

  /** @returns The speech segments of the session's avatar. */
  async segments(id: string): Promise<SegmentSummary[]> {
    const { avatar } = await this.#registry.get(id);
    return (await this.#media.list(avatar)).filter(({ role }) => role === 'speech');
  }

  /** @returns The segments that are queued, playing or were played recently: at most {@link SPOKEN_LIMIT}, newest first. */
  async spokenSegments(id: string): Promise<SegmentSummary[]> {
    const [queue, spoken] = await Promise.all([this.#registry.queue(id), this.#registry.recentlySpoken(id)]);
    const ids = new Set([...queue.map(({ segment }) => segment).reverse(), ...spoken]);
    const manifests = await Promise.all(
      [...ids].slice(0, SPOKEN_LIMIT).map((segment) => this.#media.getManifest(segment)),
    );
    return manifests.filter((manifest) => manifest !== undefined).map(summaryOf);
  }

  async #queue(
    id: string,
    segments: readonly string[],
    { interrupt, turn, traceparent, mayUse, key, command }: SpeakOptions,
  ): Promise<Spoken> {
    // A repeated command gets the same answer, whatever has happened to its segments since.
    if (!command || !(await this.#registry.isDone(id, command))) {
      this.#queueMemory.require();
      const session = await this.#live(id);
      await this.#requireSpeakable(session.avatar, segments, mayUse);
    }
    const limit = this.#limits.sessionQueueLimit;
    const spoken = await this.#speech.speak(id, segments, { interrupt, turn, limit, traceparent, command });
    const [first] = spoken.queued;
    this.#logger.info(
      { session: id, segments, interrupt, firstSeq: first?.seq, turn: spoken.turn, key, ...traceFields(traceparent) },
      'segments queued',
    );
    return spoken;
  }

  async #live(id: string): Promise<SessionRecord> {
    const session = await this.#registry.get(id);
    if (session.state === 'ended') throw new HumancastError('session_ended');
    return session;
  }

  async #requireReady(avatar: string): Promise<void> {
    if ((await this.#avatars.get(avatar)) === undefined) {
      throw new HumancastError('avatar_not_found', `no avatar has the id ${avatar}`);
    }
    if ((await this.#media.getIdlePlaylist(avatar)).length === 0) {
      throw new HumancastError('avatar_has_no_idle', {
        detail: `the avatar ${avatar} has no idle clip yet; it may still be loading`,
        retryAfterSeconds: IDLE_RETRY_SECONDS,
      });
    }
  }

  /** The limit is approximate, because two simultaneous requests may both pass it. */
  async #requireRoom(demo: boolean): Promise<void> {
    const full = new HumancastError('session_limit', { retryAfterSeconds: LIMIT_RETRY_SECONDS });
    if ((await this.#registry.count()) >= this.#limits.sessionLimit) throw full;
    if (!demo) return;
    const demos = (await this.#registry.list()).filter((session) => session.demo).length;
    if (demos >= this.#limits.demoSessionLimit) throw full;
  }

  /** Checks all segments before any is queued, and renews their time to live so that they last until they are played. */
  async #requireSpeakable(avatar: string, segments: readonly string[], mayUse: SpeakOptions['mayUse']): Promise<void> {
    await Promise.all(
      [...new Set(segments)].map(async (segment) => {
        const manifest = await this.#media.getManifest(segment);
        assertSpeakable(segment, manifest && mayUse(manifest) ? manifest : undefined, avatar);
        await this.#media.touch(segment);
      }),
    );
  }
}

function assertSpeakable(segment: string, manifest: SegmentManifest | undefined, avatar: string): void {
  const extra = { segment };
  if (!manifest) throw new HumancastError('segment_not_found', { detail: `no segment has the id ${segment}`, extra });
  if (manifest.avatar !== avatar) {
    throw new HumancastError('segment_wrong_avatar', {
      detail: `the segment ${segment} is of the avatar ${manifest.avatar}, the session of ${avatar}`,
      extra,
    });
  }
  if (manifest.state === 'failed') {
    const why = manifest.failure ? `: ${manifest.failure.message}` : '';
    throw new HumancastError('segment_not_ready', { detail: `the segment ${segment} failed to load${why}`, extra });
  }
}
