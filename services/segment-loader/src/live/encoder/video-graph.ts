import type { Codec } from '@humancast/protocol';
import type { Frame } from 'node-av/lib';
import { MultiGraph } from './multi-graph.js';

export interface GraphOutput {
  readonly codec: Codec;
  readonly width: number;
  readonly height: number;
}

/** The matrix a viewer's decoder will assume; see `encode/filter-graph.ts`. */
const MATRIX: Readonly<Record<Codec, 'bt601' | 'bt709'>> = { vp8: 'bt601', h264: 'bt709' };

/** Brings pictures of one format and size to a rendition's: scaled, YUV 4:2:0, limited range. */
export class VideoGraph {
  readonly #graph: MultiGraph;

  /** @throws FFmpegError when a picture like this can't be converted. */
  constructor(like: Frame, { codec, width, height }: GraphOutput) {
    this.#graph = new MultiGraph(
      [like],
      `[in0]scale=w=${width}:h=${height}:flags=bicubic:out_color_matrix=${MATRIX[codec]}:out_range=tv,` +
        'format=yuv420p,setsar=1[out]',
    );
  }

  accepts(picture: Frame): boolean {
    return this.#graph.accepts([picture]);
  }

  /** → a picture to be freed; the one given stays the caller's. */
  convert(picture: Frame): Frame {
    return this.#graph.filter([picture]);
  }

  free(): void {
    this.#graph.free();
  }
}
