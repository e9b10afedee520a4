/** Upper bounds of a rendition. */
export interface PictureLimits {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  readonly bitrateBps: number;
}

const MACROBLOCK_PIXELS = 16;

/**
 * Levels by what the baseline profile allows (H.264 table A-1): macroblocks per second, macroblocks per picture, bits per
 * second. The first is the least that is ever offered: every browser decodes it.
 */
const LEVELS = [
  { idc: 31, perSecond: 108_000, perPicture: 3600, bitrateBps: 14_000_000 },
  { idc: 32, perSecond: 216_000, perPicture: 5120, bitrateBps: 20_000_000 },
  { idc: 40, perSecond: 245_760, perPicture: 8192, bitrateBps: 20_000_000 },
  { idc: 42, perSecond: 522_240, perPicture: 8704, bitrateBps: 50_000_000 },
  { idc: 50, perSecond: 589_824, perPicture: 22_080, bitrateBps: 135_000_000 },
  { idc: 51, perSecond: 983_040, perPicture: 36_864, bitrateBps: 240_000_000 },
  { idc: 52, perSecond: 2_073_600, perPicture: 36_864, bitrateBps: 240_000_000 },
] as const;

export const LEAST_LEVEL = LEVELS[0].idc;
const HIGHEST_LEVEL = 52;

/**
 * Finds the lowest H.264 level that allows all of these renditions.
 * @returns `level_idc`: ten times the level, 31 for 3.1; at least 31, and 52 if no level allows them.
 */
export function h264LevelFor(pictures: readonly PictureLimits[]): number {
  return Math.max(LEAST_LEVEL, ...pictures.map(levelOf));
}

function levelOf({ width, height, fps, bitrateBps }: PictureLimits): number {
  const [columns, rows] = [width, height].map((side) => Math.ceil(side / MACROBLOCK_PIXELS)) as [number, number];
  const macroblocks = columns * rows;
  const fits = LEVELS.find(
    (level) =>
      macroblocks <= level.perPicture &&
      macroblocks * fps <= level.perSecond &&
      bitrateBps <= level.bitrateBps &&
      Math.max(columns, rows) ** 2 <= 8 * level.perPicture,
  );
  return fits?.idc ?? HIGHEST_LEVEL;
}
