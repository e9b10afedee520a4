import { type SessionEvent } from '@humancast/protocol';
import {
  type ApiKey,
  eventsChannel,
  HumancastError,
  type SessionRecord,
  type SessionRegistry,
  type Speech,
  type StreamFeed,
} from '@humancast/shared';

export interface QueuedPush {
  readonly seq: number;
  /** The session's turn. */
  readonly turn: number;
  /** Stops delivering events. */
  forget(): void;
}

export type PushEvent = { readonly type: 'interrupted'; readonly positionMs: number } | { readonly type: 'ended' };

/** The session in which a push is spoken. */
export class LiveSession {
  readonly id: string;
  /** The turn for which the push is made. */
  readonly #turn: number;
  readonly #registry: SessionRegistry;
  readonly #speech: Speech;
  readonly #events: StreamFeed;

  /**
   * @param target.turn The turn for which the push is made; default: the current one.
   * @param key The producer's key; it needs the scope `speak`, or must own the session.
   * @throws HumancastError `session_not_found`, `session_ended`, `segment_wrong_avatar`.
   */
  static async find(
    { id, avatar, turn }: { id: string; avatar: string; turn: number | undefined },
    key: ApiKey,
    parts: { registry: SessionRegistry; speech: Speech; events: StreamFeed },
  ): Promise<LiveSession> {
    const session = await parts.registry.get(id);
    // Same answer as for an unknown session, so as not to reveal that it exists.
    if (!maySpeakIn(session, key)) throw new HumancastError('session_not_found', `no session has the id ${id}`);
    if (session.state === 'ended') throw new HumancastError('session_ended');
    if (session.avatar !== avatar) {
      throw new HumancastError(
        'segment_wrong_avatar',
        `the session belongs to the avatar ${session.avatar}, not ${avatar}`,
      );
    }
    return new LiveSession({ id, turn: turn ?? session.turn }, parts);
  }

  private constructor(
    { id, turn }: Pick<SessionRecord, 'id' | 'turn'>,
    parts: { registry: SessionRegistry; speech: Speech; events: StreamFeed },
  ) {
    this.id = id;
    this.#turn = turn;
    this.#registry = parts.registry;
    this.#speech = parts.speech;
    this.#events = parts.events;
  }

  /**
   * Queues the segment, unless the turn of the push is over, and reports when the session is
   * interrupted or ends.
   * @throws HumancastError `session_not_found`, `session_ended`, `interrupted`, `queue_full`.
   */
  async queue(
    segment: string,
    options: { interrupt: boolean; limit: number; traceparent?: string | undefined },
    onEvent: (event: PushEvent) => void,
  ): Promise<QueuedPush> {
    const before = await this.#registry.lastEventId(this.id);
    const { queued, turn } = await this.#speech.speak(this.id, [segment], { ...options, turn: this.#turn });
    const seq = queued[0]?.seq ?? 0;
    const forget = this.#events.follow(
      eventsChannel(this.id),
      before,
      (afterId, limit) => this.#registry.eventPage(this.id, afterId, limit),
      (event: SessionEvent) => {
        if (event.type === 'session.ended') onEvent({ type: 'ended' });
        if (event.type === 'speech.finished' && event.seq === seq && event.interrupted) {
          onEvent({ type: 'interrupted', positionMs: event.positionMs });
        }
      },
    );
    return { seq, turn, forget };
  }
}

function maySpeakIn({ owner }: SessionRecord, key: ApiKey): boolean {
  return key.has('speak') || key.has('operate') || owner === key.name;
}
