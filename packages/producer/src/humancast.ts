import {
  type AvatarSummary,
  type avatarDefinitionSchema,
  avatarListSchema,
  avatarSummarySchema,
  type BargeIn,
  type Interrupted,
  interruptedSchema,
  type MessageData,
  type NewSession,
  newSessionSchema,
  type QueuedSegment,
  type Said,
  type Segment,
  type SegmentListEntry,
  type SessionDetails,
  type SessionEvent,
  type SessionSummary,
  saidSchema,
  segmentListSchema,
  segmentSchema,
  sentMessageSchema,
  sessionDetailsSchema,
  sessionListSchema,
  shownStateSchema,
  spokenSchema,
} from '@humancast/protocol';
import type { z } from 'zod';
import { type HeardFrame, type ListenOptions, listen } from './listen.js';
import { type LiveOptions, LivePush } from './live-push.js';
import { type CallOptions, RestClient } from './rest-client.js';
import { type EventsOptions, sessionEvents } from './session-events.js';

export interface HumancastOptions {
  apiKey: string;
  /** Default: `http://127.0.0.1:8080`. */
  signalingUrl?: string;
  /** Default: `http://127.0.0.1:8081`. */
  loaderUrl?: string;
  /** Time limit for the answer to a call, ms; uploads have none. Default: 15 000. */
  timeoutMs?: number;
}

export interface CreateSessionOptions extends CallOptions {
  microphone?: boolean;
  bargeIn?: BargeIn;
}

export interface SpeakOptions extends CallOptions {
  /** Whether the segments replace everything that is queued or playing. */
  interrupt?: boolean;
  /**
   * The session's turn for which the speech was made: after an interruption since then, the call rejects with `interrupted`.
   * Default: the current turn.
   */
  turn?: number | undefined;
}

export interface InterruptOptions extends CallOptions {
  turn?: number | undefined;
  idempotencyKey?: string | undefined;
}

/**
 * The producer's client: creates sessions, loads segments, speaks, interrupts, follows events and pushes live. Every method
 * rejects with a `ProducerError` that has humancast's code, or with the reason of the aborted signal.
 */
export class Humancast {
  readonly #signaling: RestClient;
  readonly #loader: RestClient;
  readonly #signalingUrl: string;
  readonly #loaderUrl: string;
  readonly #apiKey: string;

  constructor(options: HumancastOptions) {
    const { apiKey, signalingUrl = 'http://127.0.0.1:8080', timeoutMs = 15_000 } = options;
    this.#apiKey = apiKey;
    this.#signalingUrl = signalingUrl;
    this.#loaderUrl = options.loaderUrl ?? 'http://127.0.0.1:8081';
    this.#signaling = new RestClient({ url: signalingUrl, apiKey, timeoutMs });
    this.#loader = new RestClient({ url: this.#loaderUrl, apiKey, timeoutMs });
  }

  // ——— sessions ———

  /**
   * @param options.microphone Whether viewers with the answer's `microphoneToken` may speak. Default: false.
   * @param options.bargeIn What the avatar does while a viewer speaks. Default: `off`, it speaks on.
   */
  createSession(avatar: string, options: CreateSessionOptions = {}): Promise<NewSession> {
    const { microphone, bargeIn, ...call } = options;
    const json = { avatar, ...(microphone && { microphone }), ...(bargeIn && { bargeIn }) };
    return this.#signaling.json('POST', '/v1/sessions', newSessionSchema, { json, ...call });
  }

  /**
   * @returns What the viewers that may speak say, 20 ms at a time, until the session ends or the signal is aborted. A reader
   * that is too slow loses the oldest audio, and is told how much.
   * @throws ProducerError
   */
  listen(session: string, options: ListenOptions = {}): AsyncGenerator<HeardFrame, void, undefined> {
    return listen(this.#signalingUrl, this.#apiKey, session, options);
  }

  session(id: string, options: CallOptions = {}): Promise<SessionDetails> {
    return this.#signaling.json('GET', sessionPath(id), sessionDetailsSchema, options);
  }

  async sessions(options: CallOptions = {}): Promise<SessionSummary[]> {
    return (await this.#signaling.json('GET', '/v1/sessions', sessionListSchema, options)).sessions;
  }

  async endSession(id: string, options: CallOptions = {}): Promise<void> {
    await this.#signaling.text('DELETE', sessionPath(id), options);
  }

  /** Queues segments, in order. */
  async speak(session: string, segments: readonly string[], options: SpeakOptions = {}): Promise<QueuedSegment[]> {
    const { interrupt = false, turn, signal, traceparent } = options;
    const request = { json: { segments, interrupt, turn }, signal, traceparent };
    return (await this.#signaling.json('POST', sessionPath(session, '/speak'), spokenSchema, request)).queued;
  }

  /**
   * Stops speech, empties the queue and begins a new turn; the event `speech.finished` tells how much was played.
   * @param options.turn Interrupts only this turn; after an interruption since then, the call rejects with `interrupted`.
   * @param options.idempotencyKey Part of the event `session.interrupted`; default: a random one.
   */
  interrupt(session: string, options: InterruptOptions = {}): Promise<Interrupted> {
    const { turn, ...call } = options;
    const json = turn === undefined ? undefined : { turn };
    return this.#signaling.json('POST', sessionPath(session, '/interrupt'), interruptedSchema, { json, ...call });
  }

  /**
   * Sets the session's idle state, which is shown whenever there is no speech: the name of one of the avatar's `idle.NAME`
   * folders, or `idle`.
   * @param options.turn The turn to which it belongs; after an interruption since, the call rejects with `interrupted`.
   */
  async setState(
    session: string,
    state: string,
    options: CallOptions & { turn?: number | undefined } = {},
  ): Promise<void> {
    const { turn, ...call } = options;
    await this.#signaling.json('PUT', sessionPath(session, '/state'), shownStateSchema, {
      json: { state, turn },
      ...call,
    });
  }

  /**
   * Sends a message to the pages of the session's viewers: any JSON value of at most 2048 bytes. Theirs are the event
   * `viewer.message`.
   * @param options.viewer The only viewer that gets it.
   */
  async sendMessage(
    session: string,
    data: MessageData,
    options: CallOptions & { viewer?: string } = {},
  ): Promise<void> {
    const { viewer, ...call } = options;
    await this.#signaling.json('POST', sessionPath(session, '/messages'), sentMessageSchema, {
      json: { data, viewer },
      ...call,
    });
  }

  /** Lets the demo producer speak a text, if there is one. */
  say(session: string, text: string, options: SpeakOptions = {}): Promise<Said> {
    const { interrupt = false, turn, signal, traceparent } = options;
    return this.#signaling.json('POST', sessionPath(session, '/say'), saidSchema, {
      json: { text, interrupt, turn },
      signal,
      traceparent,
    });
  }

  /** @returns The session's events until it ends or the signal is aborted; a lost connection is re-established. */
  events(session: string, options: EventsOptions = {}): AsyncGenerator<SessionEvent, void, undefined> {
    return sessionEvents(this.#signaling, session, options);
  }

  // ——— avatars and segments ———

  async avatars(options: CallOptions = {}): Promise<AvatarSummary[]> {
    return (await this.#loader.json('GET', '/v1/avatars', avatarListSchema, options)).avatars;
  }

  /** Defines or redefines an avatar. */
  putAvatar(
    id: string,
    definition: z.input<typeof avatarDefinitionSchema>,
    options: CallOptions = {},
  ): Promise<AvatarSummary> {
    return this.#loader.json('PUT', `/v1/avatars/${encodeURIComponent(id)}`, avatarSummarySchema, {
      json: definition,
      ...options,
    });
  }

  /**
   * Loads a media file; resolves when it can be played. `fs.openAsBlob` makes a Blob of a file without reading all of it.
   * @param options.text What is said in it, as WebVTT.
   */
  uploadSegment(
    avatar: string,
    file: Blob,
    options: CallOptions & { name?: string; text?: string } = {},
  ): Promise<Segment> {
    const { name = 'segment', text, signal } = options;
    const form = new FormData();
    form.set('file', file, name);
    if (text !== undefined) form.set('text', text);
    const path = `/v1/segments?avatar=${encodeURIComponent(avatar)}`;
    return this.#loader.json('POST', path, segmentSchema, { form, signal, timeoutMs: 0 });
  }

  segment(id: string, options: CallOptions = {}): Promise<Segment> {
    return this.#loader.json('GET', `/v1/segments/${encodeURIComponent(id)}`, segmentSchema, options);
  }

  /** @returns The segments of one avatar or of all; `query` is a part of the name. */
  async segments(options: CallOptions & { avatar?: string; query?: string } = {}): Promise<SegmentListEntry[]> {
    const { avatar, query, signal } = options;
    const search = new URLSearchParams({ ...(avatar && { avatar }), ...(query && { q: query }) });
    return (await this.#loader.json('GET', `/v1/segments?${search}`, segmentListSchema, { signal })).segments;
  }

  async deleteSegment(id: string, options: CallOptions = {}): Promise<void> {
    await this.#loader.text('DELETE', `/v1/segments/${encodeURIComponent(id)}`, options);
  }

  // ——— live ———

  /** Opens a live push; resolves when the loader accepts frames. */
  live(options: LiveOptions): Promise<LivePush> {
    return LivePush.open(this.#loaderUrl, this.#apiKey, options);
  }
}

function sessionPath(id: string, rest = ''): string {
  return `/v1/sessions/${encodeURIComponent(id)}${rest}`;
}
