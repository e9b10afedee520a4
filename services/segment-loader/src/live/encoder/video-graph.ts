import type { Codec } from '@humancast/protocol';
import type { Frame } from 'node-av/lib';
import { MultiGraph } from './multi-graph.js';

export interface GraphOutput {
  readonly codec: Codec;
  readonly width: number;
  readonly height: number;
}

/** Color matrix that a viewer's decoder assumes; see `encode/filter-graph.ts`. */
const MATRIX: Readonly<Record<Codec, 'bt601' | 'bt709'>> = { vp8: 'bt601', h264: 'bt709' };

/** Converts frames of one format and size to a rendition's size, YUV 4:2:0 and limited range. */
export class VideoGraph {
  readonly #graph: MultiGraph;

  /** @throws FFmpegError if frames of this format can't be converted. */
  constructor(like: Frame, { codec, width, height }: GraphOutput) {
    this.#graph = new MultiGraph(
      [like],
      `[in0]scale=w=${width}:h=${height}:flags=bicubic:out_color_matrix=${MATRIX[codec]}:out_range=tv,` +
        'format=yuv420p,setsar=1[out]',
    );
  }

  accepts(frame: Frame): boolean {
    return this.#graph.accepts([frame]);
  }

  /** @returns A frame that the caller frees; the given one remains the caller's. */
  convert(frame: Frame): Frame {
    return this.#graph.filter([frame]);
  }

  free(): void {
    this.#graph.free();
  }
}
