import { z } from 'zod';

/** Limits of a segment's text: number of cues, characters of all, and of one. */
export const TEXT_CUES_LIMIT = 1000;
export const TEXT_LENGTH_LIMIT = 65_536;
export const TEXT_CUE_LENGTH = 500;

const positionMs = z.number().min(0).max(3_600_000);

export const textCueShape = {
  text: z.string().trim().min(1).max(TEXT_CUE_LENGTH),
  /** Where in the segment it is said, ms from its start. */
  atMs: positionMs,
  untilMs: positionMs,
};

/** Words that are said in a part of a segment. */
export const textCueSchema = z.object(textCueShape);
export type TextCue = z.infer<typeof textCueSchema>;
