import { ERRORS, type ErrorCode, type Said, type Say, saidSchema } from '@humancast/protocol';
import {
  ConfigError,
  HumancastError,
  isHashed,
  type SessionRegistry,
  type SignalingConfig,
  staleTurn,
  type Tracer,
  traced,
} from '@humancast/shared';
import { z } from 'zod';

const TIMEOUT_MS = 10_000;

const problemSchema = z.object({ code: z.string(), detail: z.string() });

/** Headers of the caller's request that are forwarded to the demo producer. */
interface CallersHeaders {
  traceparent?: string | undefined;
  idempotencyKey?: string | undefined;
}

/** Forwards typed texts to the demo producer, which is not publicly reachable. */
export class SayRelay {
  readonly #registry: SessionRegistry;
  readonly #tracer: Tracer;
  readonly #url: string;
  readonly #avatars: ReadonlySet<string>;
  readonly #apiKey: string;

  /** @throws ConfigError if a demo producer is set without a key for it. */
  constructor(
    registry: SessionRegistry,
    tracer: Tracer,
    config: Pick<SignalingConfig, 'sayUrl' | 'sayAvatars' | 'sayKey' | 'apiKeys'>,
  ) {
    const apiKey = config.sayKey || (config.apiKeys.find((key) => !isHashed(key)) ?? '');
    if (config.sayUrl !== '' && apiKey === '') {
      throw new ConfigError('SAY_KEY: not set, nor HUMANCAST_API_KEY; the demo producer of SAY_URL asks for one');
    }
    this.#registry = registry;
    this.#tracer = tracer;
    this.#url = config.sayUrl;
    this.#avatars = new Set(config.sayAvatars);
    this.#apiKey = apiKey;
  }

  /** @returns Whether this avatar has a text-to-speech producer. */
  canSay(avatar: string): boolean {
    return this.#url !== '' && this.#avatars.has(avatar);
  }

  /**
   * Forwards a text to the demo producer.
   * @param caller.idempotencyKey The same text under the same key is spoken once.
   * @throws HumancastError `not_found` for an avatar without a producer, `interrupted` if the text's turn is over,
   * `unavailable` if the producer does not answer, and its own errors.
   */
  say(session: string, words: Say, caller: CallersHeaders): Promise<Said> {
    const attributes = { session, interrupt: words.interrupt };
    const span = this.#tracer.start('session.say', { parent: caller.traceparent, kind: 'server', attributes });
    return traced(span, () => this.#say(session, words, { ...caller, traceparent: span.traceparent }));
  }

  async #say(session: string, words: Say, caller: CallersHeaders): Promise<Said> {
    const { avatar, turn } = await this.#registry.get(session);
    if (!this.canSay(avatar)) throw new HumancastError('not_found', 'this avatar has no text-to-speech producer');
    if (words.turn !== undefined && words.turn !== turn) throw staleTurn(words.turn, turn);
    // The text belongs to this turn, whenever it is spoken.
    const response = await this.#post({ session, ...words, turn }, caller);
    const body: unknown = await response.json().catch(() => undefined);
    if (!response.ok) throw rejectionOf(body, response.headers.get('retry-after'));
    const receipt = saidSchema.safeParse(body);
    if (!receipt.success) throw unavailable(receipt.error);
    return receipt.data;
  }

  async #post(order: object, { traceparent, idempotencyKey }: CallersHeaders): Promise<Response> {
    try {
      return await fetch(new URL('/v1/say', this.#url), {
        method: 'POST',
        headers: {
          authorization: `Bearer ${this.#apiKey}`,
          'content-type': 'application/json',
          ...(traceparent !== undefined && { traceparent }),
          ...(idempotencyKey !== undefined && { 'idempotency-key': idempotencyKey }),
        },
        body: JSON.stringify(order),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    } catch (error) {
      throw unavailable(error);
    }
  }
}

/** Converts the demo producer's error. A rejection of signaling's own key is not disclosed. */
function rejectionOf(body: unknown, retryAfter: string | null): HumancastError {
  const problem = problemSchema.safeParse(body);
  const code = problem.data?.code as ErrorCode;
  if (!problem.success || !(code in ERRORS) || ERRORS[code].status === 401) return unavailable(body);
  const seconds = Number(retryAfter ?? Number.NaN);
  return new HumancastError(code, {
    detail: problem.data.detail,
    ...(Number.isFinite(seconds) && { retryAfterSeconds: seconds }),
  });
}

function unavailable(cause: unknown): HumancastError {
  return new HumancastError('unavailable', { detail: 'the demo producer does not answer', cause });
}
