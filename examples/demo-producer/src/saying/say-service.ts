import { HumancastError } from '@humancast/shared';
import { sentencesOf } from '../speech/sentences.js';
import { SessionSpeaker, type SpeakerLimits, type SpeakerParts } from './session-speaker.js';

export interface SayLimits extends SpeakerLimits {
  textLimit: number;
  sessionLimit: number;
}

export interface SayRequest {
  session: string;
  text: string;
  interrupt: boolean;
  /** W3C trace context of the request. */
  traceparent?: string | undefined;
}

export interface SayResult {
  /** Number of texts of this session that are spoken first. */
  ahead: number;
  /** The segment, open and about to play, if `ahead` is 0. */
  segment?: string;
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

  /** @throws HumancastError `bad_request`, `no_capacity`, `queue_full`, or the error that prevented the speech. */
  async take({ session, text, interrupt, traceparent }: SayRequest): Promise<SayResult> {
    this.#requireSayable(text);
    const { ahead, opened } = this.#speakerOf(session).say(text, { interrupt, traceparent });
    return ahead === 0 ? { ahead, segment: await opened } : { ahead };
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

  #speakerOf(session: string): SessionSpeaker {
    const known = this.#speakers.get(session);
    if (known?.isBusy) return known;
    const busy = [...this.#speakers.values()].filter(({ isBusy }) => isBusy).length;
    if (busy >= this.#limits.sessionLimit) {
      throw new HumancastError('no_capacity', {
        detail: 'the limit of sessions speaking at once is reached',
        retryAfterSeconds: BUSY_RETRY_SECONDS,
      });
    }
    if (known) return known;
    const speaker = new SessionSpeaker(session, this.#parts, this.#limits, () => this.#speakers.delete(session));
    this.#speakers.set(session, speaker);
    return speaker;
  }
}
