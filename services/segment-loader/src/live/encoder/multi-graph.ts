import { AV_BUFFERSRC_FLAG_KEEP_REF } from 'node-av/constants';
import { FFmpegError, type FilterContext, FilterGraph, Frame } from 'node-av/lib';

/** A filter graph from one or more inputs, `[in0]`, `[in1]` …, to one output, `[out]`. */
export class MultiGraph {
  readonly #graph = new FilterGraph();
  readonly #sources: readonly FilterContext[];
  readonly #sink: FilterContext;
  readonly #key: string;

  /** @throws FFmpegError if frames of this format can't be filtered. */
  constructor(like: readonly Frame[], chain: string) {
    this.#key = keyOf(like);
    const graph = this.#graph;
    graph.alloc();
    graph.nbThreads = 1;
    const sources = like.map((frame, i) => `buffer@in${i}=${sourceArguments(frame)}[in${i}]`);
    FFmpegError.throwIfError(
      graph.parse2([...sources, chain, '[out]buffersink@out'].join(';')),
      'making the filter graph',
    );
    FFmpegError.throwIfError(graph.configSync(), 'configuring the filter graph');
    this.#sources = like.map((_, i) => this.#find(`buffer@in${i}`));
    this.#sink = this.#find('buffersink@out');
  }

  accepts(frames: readonly Frame[]): boolean {
    return keyOf(frames) === this.#key;
  }

  /** @returns A frame that the caller frees; the inputs remain the caller's. */
  filter(frames: readonly Frame[]): Frame {
    frames.forEach((frame, i) => {
      const source = this.#sources[i];
      if (!source) throw new Error('more frames than the graph has inputs');
      FFmpegError.throwIfError(source.buffersrcAddFrameSync(frame, AV_BUFFERSRC_FLAG_KEEP_REF), 'filtering');
    });
    const filtered = new Frame();
    filtered.alloc();
    FFmpegError.throwIfError(this.#sink.buffersinkGetFrameSync(filtered), 'taking a filtered frame');
    return filtered;
  }

  free(): void {
    this.#graph.free();
  }

  #find(name: string): FilterContext {
    const context = this.#graph.getFilter(name);
    if (!context) throw new Error(`the filter ${name} was not made`);
    return context;
  }
}

function sourceArguments({ width, height, format, colorSpace, colorRange }: Frame): string {
  const size = `video_size=${width}x${height}:pix_fmt=${format}`;
  return `${size}:time_base=1/1000:pixel_aspect=1/1:colorspace=${colorSpace}:range=${colorRange}`;
}

function keyOf(frames: readonly Frame[]): string {
  return frames
    .map(({ width, height, format, colorSpace, colorRange }) => [width, height, format, colorSpace, colorRange].join())
    .join(';');
}
