import type { Codec } from '@humancast/shared';
import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants';
import { FFmpegError, Filter, type FilterContext, FilterGraph, FilterInOut, Frame } from 'node-av/lib';

export interface GraphOutput {
  readonly codec: Codec;
  readonly width: number;
  readonly height: number;
}

/** The matrix a viewer's decoder will assume; see `encode/filter-graph.ts`. */
const MATRIX: Readonly<Record<Codec, 'bt601' | 'bt709'>> = { vp8: 'bt601', h264: 'bt709' };

/** Brings pictures of one format and size to a rendition's: scaled, YUV 4:2:0, limited range. */
export class PictureGraph {
  readonly #graph = new FilterGraph();
  readonly #source: FilterContext;
  readonly #sink: FilterContext;
  readonly #key: string;

  /** @throws FFmpegError when a picture like this can't be converted. */
  constructor(like: Frame, { codec, width, height }: GraphOutput) {
    this.#key = keyOf(like);
    const graph = this.#graph;
    graph.alloc();
    graph.nbThreads = 1;
    this.#source = this.#create('buffer', 'in', sourceArguments(like));
    this.#sink = this.#create('buffersink', 'out');
    const chain =
      `[in]scale=w=${width}:h=${height}:flags=bicubic:out_color_matrix=${MATRIX[codec]}:out_range=tv,` +
      'format=yuv420p,setsar=1[out]';
    const outputs = FilterInOut.createList([{ name: 'in', filterCtx: this.#source, padIdx: 0 }]);
    const inputs = FilterInOut.createList([{ name: 'out', filterCtx: this.#sink, padIdx: 0 }]);
    FFmpegError.throwIfError(graph.parsePtr(chain, inputs, outputs), 'making the filter graph');
    FFmpegError.throwIfError(graph.configSync(), 'configuring the filter graph');
  }

  accepts(picture: Frame): boolean {
    return keyOf(picture) === this.#key;
  }

  /** → a picture to be freed; the one given stays the caller's. */
  convert(picture: Frame): Frame {
    FFmpegError.throwIfError(this.#source.buffersrcAddFrameSync(picture, AV_BUFFERSRC_FLAG_KEEP_REF), 'filtering');
    const converted = new Frame();
    converted.alloc();
    FFmpegError.throwIfError(this.#sink.buffersinkGetFrameSync(converted), 'taking a filtered picture');
    return converted;
  }

  free(): void {
    this.#graph.free();
  }

  #create(filter: string, name: string, args?: string): FilterContext {
    const type = Filter.getByName(filter);
    const context = type && this.#graph.createFilter(type, name, args);
    if (!context) throw new Error(`the filter ${filter} could not be made`);
    return context;
  }
}

function sourceArguments({ width, height, format, colorSpace, colorRange }: Frame): string {
  const size = `video_size=${width}x${height}:pix_fmt=${format}`;
  return `${size}:time_base=1/1000:pixel_aspect=1/1:colorspace=${colorSpace}:range=${colorRange}`;
}

function keyOf({ width, height, format, colorSpace, colorRange }: Frame): string {
  return [width, height, format, colorSpace, colorRange].join();
}
