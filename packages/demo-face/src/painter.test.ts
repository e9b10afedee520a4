import { expect, it } from 'vitest';
import { FacePainter } from './painter.js';
import { NEUTRAL_POSE, type Pose } from './pose.js';

const SIZE = 320;

const painter = new FacePainter(SIZE);
const draw = (pose: Pose) => painter.paint(pose);

/** @returns The rows in which two images differ, as shares of the height. */
function changedRows(one: Buffer, other: Buffer): { top: number; bottom: number } | undefined {
  const rows = Array.from({ length: SIZE }, (_, row) => row).filter((row) => {
    const [from, to] = [row * SIZE * 4, (row + 1) * SIZE * 4];
    return !one.subarray(from, to).equals(other.subarray(from, to));
  });
  return rows.length ? { top: (rows[0] ?? 0) / SIZE, bottom: (rows.at(-1) ?? 0) / SIZE } : undefined;
}

const neutral = draw(NEUTRAL_POSE);

it('draws the same opaque image for the same pose', () => {
  expect(changedRows(draw(NEUTRAL_POSE), neutral)).toBeUndefined();
  for (let alpha = 3; alpha < neutral.length; alpha += 4) {
    if (neutral[alpha] !== 255) throw new Error(`pixel ${(alpha - 3) / 4} is not opaque`);
  }
});

it('draws the same person over nothing', () => {
  const cutOut = new FacePainter(SIZE, false).paint(NEUTRAL_POSE);
  const pixel = (image: Buffer, x: number, y: number) => [
    ...image.subarray(4 * (y * SIZE + x), 4 * (y * SIZE + x) + 4),
  ];
  expect(pixel(cutOut, 4, 4)).toEqual([0, 0, 0, 0]);
  expect(pixel(cutOut, 160, 131)).toEqual(pixel(neutral, 160, 131));
});

it('moves only the eyes in a blink', () => {
  const rows = changedRows(draw({ ...NEUTRAL_POSE, blink: 1 }), neutral);
  expect(rows?.top).toBeGreaterThan(0.32);
  expect(rows?.bottom).toBeLessThan(0.46);
});

it('moves the lower face when the mouth opens', () => {
  const rows = changedRows(draw({ ...NEUTRAL_POSE, mouth: { ...NEUTRAL_POSE.mouth, open: 1 } }), neutral);
  expect(rows?.top).toBeGreaterThan(0.38);
  expect(rows?.bottom).toBeGreaterThan(0.58);
});
