import type { Pixel } from './decoded-segment.js';

/** Red, green and blue, 0 to 1. */
export type Rgb = readonly [number, number, number];

/** How a video encodes colors. */
export interface Coding {
  /** Luma weights of red and blue (ITU-T H.273 table 4). */
  readonly kr: number;
  readonly kb: number;
  readonly isFull: boolean;
  readonly bits: number;
}

export const BT601 = { kr: 0.299, kb: 0.114 } as const;
export const BT709 = { kr: 0.2126, kb: 0.0722 } as const;
export const BT2020 = { kr: 0.2627, kb: 0.0593 } as const;
export const SMPTE240M = { kr: 0.212, kb: 0.087 } as const;

/** Computes a color's code values (ITU-T H.273 equations 38 to 55) without FFmpeg. */
export function coded([r, g, b]: Rgb, { kr, kb, isFull, bits }: Coding): Pixel {
  const y = kr * r + (1 - kr - kb) * g + kb * b;
  const u = (b - y) / (2 * (1 - kb));
  const v = (r - y) / (2 * (1 - kr));
  const unit = 2 ** (bits - 8);
  const top = 2 ** bits - 1;
  const chroma = (c: number) => Math.round((isFull ? top * c : 224 * unit * c) + 128 * unit);
  return { y: Math.round(isFull ? top * y : unit * (219 * y + 16)), u: chroma(u), v: chroma(v) };
}

/** @returns A raw planar frame with one color in each quarter. @param subsampling Of chroma, across and down. */
export function quarters(
  colors: readonly Pixel[],
  side: number,
  [across, down]: readonly [number, number],
  bits: number,
): Buffer {
  const plane = (of: keyof Pixel, width: number, height: number) => {
    const samples = Array.from({ length: width * height }, (_, i) => {
      const quarter = (i % width >= width / 2 ? 1 : 0) + (Math.floor(i / width) >= height / 2 ? 2 : 0);
      return colors[quarter]?.[of] ?? 0;
    });
    if (bits === 8) return Buffer.from(samples);
    return Buffer.from(Uint16Array.from(samples).buffer);
  };
  const [width, height] = [side / across, side / down];
  return Buffer.concat([plane('y', side, side), plane('u', width, height), plane('v', width, height)]);
}

/** Converts linear RGB between primaries (SMPTE RP 177), both with white D65, without chromatic adaptation. */
export function convertPrimaries(linear: Rgb, from: Primaries, to: Primaries): Rgb {
  return apply(inverse(toXyz(to)), apply(toXyz(from), linear));
}

/** Chromaticities x, y of red, green and blue. */
export type Primaries = readonly [readonly [number, number], readonly [number, number], readonly [number, number]];
export const PRIMARIES_709: Primaries = [
  [0.64, 0.33],
  [0.3, 0.6],
  [0.15, 0.06],
];
export const PRIMARIES_2020: Primaries = [
  [0.708, 0.292],
  [0.17, 0.797],
  [0.131, 0.046],
];
export const PRIMARIES_P3: Primaries = [
  [0.68, 0.32],
  [0.265, 0.69],
  [0.15, 0.06],
];

type Matrix = readonly [Rgb, Rgb, Rgb];

function toXyz(primaries: Primaries): Matrix {
  const columns = primaries.map(([x, y]): Rgb => [x / y, 1, (1 - x - y) / y]) as unknown as Matrix;
  const rows = [0, 1, 2].map((i) => columns.map((column) => column[i])) as unknown as Matrix;
  const white: Rgb = [0.3127 / 0.329, 1, (1 - 0.3127 - 0.329) / 0.329];
  const scale = apply(inverse(rows), white);
  return rows.map((row) => row.map((value, i) => value * (scale[i] ?? 0))) as unknown as Matrix;
}

function apply(matrix: Matrix, [a, b, c]: Rgb): Rgb {
  return matrix.map((row) => row[0] * a + row[1] * b + row[2] * c) as unknown as Rgb;
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]: Matrix): Matrix {
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const adjugate: Matrix = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return adjugate.map((row) => row.map((value) => value / determinant)) as unknown as Matrix;
}

/** @returns The PQ signal of a luminance of 0 to 10,000 cd/m² (SMPTE ST 2084). */
export function pqSignal(nits: number): number {
  const power = (nits / 10_000) ** 0.1593017578125;
  return ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375;
}

/** @returns The HLG signal of scene light, 0 to 1 (ARIB STD-B67, ITU-R BT.2100). */
export function hlgSignal(light: number): number {
  if (light <= 1 / 12) return Math.sqrt(3 * light);
  const [a, b] = [0.17883277, 0.28466892];
  return a * Math.log(12 * light - b) + 0.5 - a * Math.log(4 * a);
}
