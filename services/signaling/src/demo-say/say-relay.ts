import { ERRORS, type ErrorCode, type Said, type Say, saidSchema } from '@humancast/protocol';
import {
  ConfigError,
  HumancastError,
  isHashed,
  type SessionRegistry,
  type SignalingConfig,
  type Tracer,
  traced,
} from '@humancast/shared';
import { z } from 'zod';

const TIMEOUT_MS = 10_000;

const problemSchema = z.object({ code: z.string(), detail: z.string() });

/** What of the caller's request goes on to the demo producer. */
interface CallersHeaders {
  traceparent?: string | undefined;
  idempotencyKey?: string | undefined;
}

/** Hands typed texts to the demo producer, where there is one: it is not for the public itself. */
export class SayRelay {
  readonly #registry: SessionRegistry;
  readonly #tracer: Tracer;
  readonly #url: string;
  readonly #avatars: ReadonlySet<string>;
  readonly #apiKey: string;

  /** @throws ConfigError when a demo producer is set, but no key to show it. */
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

  /** Whether a text can be said by this avatar. */
  canSay(avatar: string): boolean {
    return this.#url !== '' && this.#avatars.has(avatar);
  }

  /**
   * @param caller.idempotencyKey the same text under the same key is said once.
   * @throws HumancastError `not_found` where nobody can say it; else as the demo producer, or `unavailable` without it.
   */
  say(session: string, words: Say, caller: CallersHeaders): Promise<Said> {
    const attributes = { session, interrupt: words.interrupt };
    const span = this.#tracer.start('session.say', { parent: caller.traceparent, kind: 'server', attributes });
    return traced(span, () => this.#say(session, words, { ...caller, traceparent: span.traceparent }));
  }

  async #say(session: string, words: Say, caller: CallersHeaders): Promise<Said> {
    const { avatar } = await this.#registry.get(session);
    if (!this.canSay(avatar)) throw new HumancastError('not_found', 'texts can not be said by this avatar');
    const response = await this.#post({ session, ...words }, caller);
    const body: unknown = await response.json().catch(() => undefined);
    if (!response.ok) throw refusalOf(body, response.headers.get('retry-after'));
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

/** Of the key that is ours, the caller learns nothing. */
function refusalOf(body: unknown, retryAfter: string | null): HumancastError {
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
