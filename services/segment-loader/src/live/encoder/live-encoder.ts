import type { Frame } from 'node-av/lib';
import { temporalLayers } from '../../encode/temporal-layers.js';
import { RenditionEncoder } from './rendition-encoder.js';
import { VideoGraph } from './video-graph.js';
import { VideoMerger } from './video-merger.js';
import { emptyFrame, VideoReader } from './video-reader.js';
import type { EncoderSetup } from './wire.js';

export interface LiveFrame {
  readonly rendition: number;
  readonly number: number;
  readonly keyframe: boolean;
  readonly data: Buffer;
}

/** Encodes every rendition of each frame, with a keyframe where a GOP begins. */
export class LiveEncoder {
  readonly #setup: EncoderSetup;
  readonly #reader: VideoReader;
  /** Merges frames with a composition, if the set-up has one. */
  readonly merger: VideoMerger | undefined;
  readonly #encoders: readonly RenditionEncoder[];
  readonly #onFrame: (frame: LiveFrame) => void;
  #graphs: readonly VideoGraph[] = [];
  #isStacked = false;
  /** The last frame, converted for each rendition. */
  #showing: readonly Frame[] = [];
  #frames = 0;

  constructor(setup: EncoderSetup, onFrame: (frame: LiveFrame) => void) {
    this.#setup = setup;
    this.#onFrame = onFrame;
    this.#reader = new VideoReader(setup);
    this.merger = setup.merge && new VideoMerger(setup.merge);
    this.#encoders = setup.renditions.map(
      (rendition) => new RenditionEncoder(rendition, setup.fps, temporalLayers(rendition, setup.renditions)),
    );
  }

  /** Loads the codecs and filters, so that the first push does not wait for them. */
  static warmUp(): void {
    const size = { width: 64, height: 64 };
    const renditions = (['vp8', 'h264'] as const).map((codec) => ({ codec, ...size, bitrateBps: 100_000 }));
    const fps = { num: 30, den: 1 };
    const encoder = new LiveEncoder({ ...size, pixelFormat: 'bgr24', fps, gopFrames: 30, renditions }, () => {});
    encoder.encode(Buffer.alloc(size.width * size.height * 3));
  }

  /** @returns A frame that shows nothing: transparent, or else black. */
  empty(): Frame {
    const { width, height, renditions } = this.#setup;
    return emptyFrame(width, height, renditions[0]?.alpha !== undefined);
  }

  /** Encodes a frame `count` times. @throws BadFrame, FFmpegError. */
  encode(bytes: Buffer, count = 1): void {
    const frame = this.#reader.read(bytes);
    this.show(this.merger ? this.merger.merge(frame) : frame);
    for (let i = 0; i < count; i++) this.repeat();
  }

  /**
   * Takes over a frame for {@link repeat} to encode, without merging.
   * @param isStacked Whether it has its color above its matte.
   */
  show(frame: Frame, isStacked = false): void {
    if (isStacked !== this.#isStacked || this.#graphs.some((graph) => !graph.accepts(frame))) this.#dropGraphs();
    this.#isStacked = isStacked;
    if (this.#graphs.length === 0)
      this.#graphs = this.#setup.renditions.map((to) => new VideoGraph(frame, to, isStacked));
    const converted = this.#graphs.map((graph) => graph.convert(frame));
    frame.free();
    for (const former of this.#showing) former.free();
    this.#showing = converted;
  }

  /** Encodes the last frame again, or nothing visible if there was none. */
  repeat(): void {
    const { gopFrames } = this.#setup;
    if (this.#showing.length === 0) this.show(this.empty());
    const number = this.#frames++;
    this.#encoders.forEach((encoder, rendition) => {
      const frame = this.#showing[rendition];
      if (frame) this.#onFrame({ rendition, number, ...encoder.encode(frame, number, number % gopFrames === 0) });
    });
  }

  #dropGraphs(): void {
    for (const graph of this.#graphs) graph.free();
    this.#graphs = [];
  }
}
