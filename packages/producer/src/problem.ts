import { z } from 'zod';
import { ProducerError } from './producer-error.js';

const problemSchema = z.looseObject({ code: z.string(), detail: z.string().optional(), title: z.string().optional() });

/** @returns The error of an HTTP answer, from its problem document (RFC 9457) or else its status. */
export function errorOfAnswer(status: number, body: string, retryAfter: string | null | undefined): ProducerError {
  const retryAfterSeconds = secondsOf(retryAfter);
  const parsed = problemSchema.safeParse(jsonOf(body));
  if (!parsed.success) {
    return new ProducerError('bad_answer', `the answer ${status} is not a problem document`, {
      status,
      retryAfterSeconds,
    });
  }
  const { code, detail, title, type: _, status: __, ...extra } = parsed.data;
  return new ProducerError(code, detail ?? title ?? code, { status, retryAfterSeconds, extra });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** @returns `Retry-After` in seconds; humancast does not use its other form, a date (RFC 9110 §10.2.3). */
function secondsOf(retryAfter: string | null | undefined): number | undefined {
  return retryAfter && /^\d+$/.test(retryAfter) ? Number(retryAfter) : undefined;
}
