import { AV_FRAME_DATA_DISPLAYMATRIX } from 'node-av/constants';
import type { Frame } from 'node-av/lib';
import { MultiGraph } from './multi-graph.js';

/** A display matrix: three rows of three 32-bit integers (libavutil/display.h). */
const MATRIX_BYTES = 36;

/** Turns frames by their display matrix, which the EXIF orientation of a JPEG sets. */
export class Upright {
  #graph: MultiGraph | undefined;
  #filters = '';

  /** @returns The frame itself, or a turned copy, in which case the given one is freed. */
  turn(frame: Frame): Frame {
    const filters = filtersFor(frame.getSideData(AV_FRAME_DATA_DISPLAYMATRIX));
    if (filters === undefined) return frame;
    if (filters !== this.#filters || !this.#graph?.accepts([frame])) {
      this.#graph?.free();
      this.#graph = new MultiGraph([frame], `[in0]${filters}[out]`);
      this.#filters = filters;
    }
    try {
      return this.#graph.filter([frame]);
    } finally {
      frame.free();
    }
  }
}

/**
 * Classifies the eight orientations; a matrix without a quarter turn has zeros beside its diagonal, one with has them on it.
 */
function filtersFor(matrix: Buffer | null): string | undefined {
  if (!matrix || matrix.length < MATRIX_BYTES) return undefined;
  const [a, b, c, d] = [0, 4, 12, 16].map((offset) => Math.sign(matrix.readInt32LE(offset)));
  if (b === 0 && c === 0) return [a === -1 && 'hflip', d === -1 && 'vflip'].filter(Boolean).join(',') || undefined;
  const names: Readonly<Record<string, string>> = {
    '1,-1': 'clock',
    '-1,1': 'cclock',
    '1,1': 'cclock_flip',
    '-1,-1': 'clock_flip',
  };
  const name = names[`${b},${c}`];
  return name && `transpose=${name}`;
}
