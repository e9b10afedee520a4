import type { Rational } from '@humancast/protocol';
import { z } from 'zod';

/** A fraction as ffprobe prints it (`30000/1001`, `64:45`); `undefined` unless it is a positive number. */
export const rationalSchema = z.string().transform(parseRational).optional().catch(undefined);

function parseRational(text: string): Rational | undefined {
  const match = /^(\d+)[/:](\d+)$/.exec(text);
  const [num, den] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  return num > 0 && den > 0 ? { num, den } : undefined;
}
