import { z } from 'zod';

/** EXIF orientation (EXIF 2.3 §4.6.4) of stored video; 1 is upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Side data of a stream or a frame, as ffprobe prints it. */
export const sideDataSchema = z.array(z.object({ displaymatrix: z.string().optional().catch(undefined) })).default([]);

/** Orientation by the signs of the two terms off the diagonal. */
const TURNED: Readonly<Record<string, Orientation>> = { '1,-1': 6, '-1,1': 8, '1,1': 5, '-1,-1': 7 };
/** Orientation by the signs of the two terms on the diagonal. */
const UNTURNED: Readonly<Record<string, Orientation>> = { '1,1': 1, '-1,1': 2, '-1,-1': 3, '1,-1': 4 };

/**
 * Parses the display matrix (libavutil/display.h) in side data, which ffprobe prints as three lines of three numbers, each
 * after its number and a colon. Other angles are rounded to the nearest quarter turn.
 * @returns `undefined` if there is no matrix, or one that would show nothing.
 */
export function orientationOf(sideData: z.infer<typeof sideDataSchema>): Orientation | undefined {
  const text = sideData.find(({ displaymatrix }) => displaymatrix !== undefined)?.displaymatrix;
  const [first, second] = (text ?? '').matchAll(/:\s*(-?\d+)\s+(-?\d+)\s+-?\d+/g);
  if (!first || !second) return undefined;
  const [a, b, c, d] = [first[1], first[2], second[1], second[2]].map(Number) as [number, number, number, number];
  const isTurned = Math.abs(b) + Math.abs(c) > Math.abs(a) + Math.abs(d);
  return isTurned ? TURNED[`${Math.sign(b)},${Math.sign(c)}`] : UNTURNED[`${Math.sign(a)},${Math.sign(d)}`];
}
