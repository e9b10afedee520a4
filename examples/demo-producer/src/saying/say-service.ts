import { HumancastError } from '@humancast/shared';
import { sentencesOf } from '../speech/sentences.js';
import { callerError } from './caller-error.js';
import { SessionSpeaker, type SpeakerLimits, type SpeakerParts } from './session-speaker.js';

export interface SayLimits extends SpeakerLimits {
  textLimit: number;
  sessionLimit: number;
}

export interface SayRequest {
  session: string;
  text: string;
  interrupt: boolean;
  /** The session's turn that the text answers; default: the current one. */
  turn?: number | undefined;
  /** Key of the request, under which it interrupts the session once. */
  key?: string | undefined;
  /** W3C trace context of the request. */
  traceparent?: string | undefined;
}

export interface SayResult {
  /** Number of texts of this session that are spoken first. */
  ahead: number;
  /** The segment, open and about to play, if `ahead` is 0. */
  segment?: string;
  /** The session's turn in which the text is spoken, or dropped if that is over by then. */
  turn: number;
}

const BUSY_RETRY_SECONDS = 5;

/** Passes each text to the speaker of its session. */
export class SayService {
  readonly #parts: SpeakerParts;
  readonly #limits: SayLimits;
  readonly #speakers = new Map<string, SessionSpeaker>();

  constructor(parts: SpeakerParts, limits: SayLimits) {
    this.#parts = parts;
    this.#limits = limits;
  }

  /**
   * @throws HumancastError `bad_request`, `no_capacity`, `interrupted`, `queue_full`, or the error that prevented the speech.
   */
  async take(request: SayRequest): Promise<SayResult> {
    const { session, text, traceparent } = request;
    this.#requireSayable(text);
    this.#requireCapacity(session);
    const turn = await this.#turnOf(request);
    const { ahead, opened } = this.#speakerOf(session).say(text, { turn, traceparent });
    return ahead === 0 ? { ahead, turn, segment: await opened } : { ahead, turn };
  }

  close(): void {
    for (const speaker of [...this.#speakers.values()]) speaker.close();
  }

  #requireSayable(text: string): void {
    const { textLimit } = this.#limits;
    if (text.length > textLimit) {
      throw new HumancastError('bad_request', `text: ${text.length} characters exceed the limit of ${textLimit}`);
    }
    if (sentencesOf(text).length === 0) throw new HumancastError('bad_request', 'text: contains no letters or digits');
  }

  /** Interrupts what is spoken, if asked to. @returns The turn of the text. */
  async #turnOf({ session, interrupt, turn, key }: SayRequest): Promise<number> {
    const { humancast } = this.#parts;
    try {
      if (interrupt) return (await humancast.interrupt(session, { turn, idempotencyKey: key })).turn;
      return turn ?? (await humancast.session(session)).turn;
    } catch (error) {
      throw callerError(error);
    }
  }

  #requireCapacity(session: string): void {
    if (this.#speakers.get(session)?.isBusy) return;
    const busy = [...this.#speakers.values()].filter(({ isBusy }) => isBusy).length;
    if (busy < this.#limits.sessionLimit) return;
    throw new HumancastError('no_capacity', {
      detail: 'the limit of sessions speaking at once is reached',
      retryAfterSeconds: BUSY_RETRY_SECONDS,
    });
  }

  /** @throws HumancastError `no_capacity`: others may have begun to speak while the turn was looked up. */
  #speakerOf(session: string): SessionSpeaker {
    this.#requireCapacity(session);
    const known = this.#speakers.get(session);
    if (known) return known;
    const speaker = new SessionSpeaker(session, this.#parts, this.#limits, () => this.#speakers.delete(session));
    this.#speakers.set(session, speaker);
    return speaker;
  }
}
