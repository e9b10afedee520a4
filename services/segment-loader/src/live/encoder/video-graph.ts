import type { Alpha, Codec } from '@humancast/protocol';
import type { Frame } from 'node-av/lib';
import { eachHalf, stacked } from '../../encode/stacked.js';
import { MultiGraph } from './multi-graph.js';

export interface GraphOutput {
  readonly codec: Codec;
  readonly alpha?: Alpha | undefined;
  readonly width: number;
  readonly height: number;
}

/** Color matrix that a viewer's decoder assumes; see `encode/filter-graph.ts`. */
const MATRIX: Readonly<Record<Codec, 'bt601' | 'bt709'>> = { vp8: 'bt601', h264: 'bt709' };

/** Converts frames of one format and size to a rendition's size, YUV 4:2:0 and limited range, with their matte if it has one. */
export class VideoGraph {
  readonly #graph: MultiGraph;
  #converted = 0;

  /**
   * @param isStacked Whether the frames have their color above their matte already.
   * @throws FFmpegError if frames of this format can't be converted.
   */
  constructor(like: Frame, output: GraphOutput, isStacked: boolean) {
    this.#graph = new MultiGraph([like], `[in0]${chainOf(output, isStacked)}[out]`);
  }

  accepts(frame: Frame): boolean {
    return this.#graph.accepts([frame]);
  }

  /** @returns A frame that the caller frees; the given one remains the caller's. */
  convert(frame: Frame): Frame {
    // Halves are stacked when their timestamps are equal and new.
    frame.pts = BigInt(this.#converted++);
    return this.#graph.filter([frame]);
  }

  free(): void {
    this.#graph.free();
  }
}

function chainOf({ codec, alpha, width, height }: GraphOutput, isStacked: boolean): string {
  const scaled = (h: number) =>
    `scale=w=${width}:h=${h}:flags=bicubic:out_color_matrix=${MATRIX[codec]}:out_range=tv,format=yuv420p`;
  if (!alpha && !isStacked) return `${scaled(height)},setsar=1`;
  if (!alpha) return `crop=iw:ih/2:0:0,${scaled(height)},setsar=1`;
  const half = height / 2;
  if (isStacked) return eachHalf('m', scaled(half));
  return `format=gbrap,premultiply=inplace=1,${scaled(half).replace('yuv420p', 'yuva420p')},${stacked('m')}`;
}
