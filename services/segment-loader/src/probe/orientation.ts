import { z } from 'zod';

/** How what is stored is to be laid to be upright, as EXIF 2.3 §4.6.4 counts the eight ways; 1 if it is stored upright. */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Side data of a stream or a frame, as ffprobe prints it. */
export const sideDataSchema = z.array(z.object({ displaymatrix: z.string().optional().catch(undefined) })).default([]);

/** For the signs of the two terms beside the diagonal. */
const TURNED: Readonly<Record<string, Orientation>> = { '1,-1': 6, '-1,1': 8, '1,1': 5, '-1,-1': 7 };
/** For the signs of the two terms on the diagonal. */
const UNTURNED: Readonly<Record<string, Orientation>> = { '1,1': 1, '-1,1': 2, '-1,-1': 3, '1,-1': 4 };

/**
 * Reads the display matrix (libavutil/display.h) in side data, which ffprobe prints as three lines of three numbers, each line after its
 * number and a colon. An angle between two quarters is taken for the nearer one.
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
