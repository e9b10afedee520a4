import type { Frame } from 'node-av/lib';
import { temporalLayers } from '../../encode/temporal-layers.js';
import { RenditionEncoder } from './rendition-encoder.js';
import { bySize, RungShedder } from './rung-shedder.js';
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

export interface LiveEncoderEvents {
  readonly onFrame: (frame: LiveFrame) => void;
  /** Called when another number of renditions is encoded from now on. */
  readonly onRenditions?: (count: number) => void;
  readonly nowMs?: () => number;
}

/**
 * Encodes the renditions of each frame, the largest first, with a keyframe where a GOP begins. While that is slower than real
 * time, some are left out for whole GOPs.
 */
export class LiveEncoder {
  readonly #setup: EncoderSetup;
  readonly #reader: VideoReader;
  /** Merges frames with a composition, if the set-up has one. */
  readonly merger: VideoMerger | undefined;
  readonly #encoders: readonly RenditionEncoder[];
  readonly #order: readonly number[];
  readonly #shedder: RungShedder;
  readonly #onFrame: LiveEncoderEvents['onFrame'];
  readonly #onRenditions: LiveEncoderEvents['onRenditions'];
  readonly #nowMs: () => number;
  readonly #frameMs: number;
  #graphs: readonly VideoGraph[] = [];
  #isStacked = false;
  /** The last frame, converted for each rendition. */
  #showing: readonly (Frame | undefined)[] = [];
  #frames = 0;
  /** Whether each rendition is encoded in the current GOP. */
  #active: readonly boolean[];

  constructor(setup: EncoderSetup, { onFrame, onRenditions, nowMs = () => performance.now() }: LiveEncoderEvents) {
    this.#setup = setup;
    this.#onFrame = onFrame;
    this.#onRenditions = onRenditions;
    this.#nowMs = nowMs;
    this.#frameMs = (1000 * setup.fps.den) / setup.fps.num;
    this.#order = bySize(setup.renditions);
    this.#shedder = new RungShedder(setup.renditions);
    this.#active = this.#shedder.next;
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
    const encoder = new LiveEncoder(
      { ...size, pixelFormat: 'bgr24', fps, gopFrames: 30, renditions },
      { onFrame: () => {} },
    );
    encoder.encode(Buffer.alloc(size.width * size.height * 3));
  }

  /** @returns A frame that shows nothing: transparent, or else black. */
  empty(): Frame {
    const { width, height, renditions } = this.#setup;
    return emptyFrame(width, height, renditions[0]?.alpha !== undefined);
  }

  /** Encodes a frame `count` times. @throws BadFrame, FFmpegError. */
  encode(bytes: Buffer, count = 1): void {
    this.#timed(count, () => {
      const frame = this.#reader.read(bytes);
      this.show(this.merger ? this.merger.merge(frame) : frame);
    });
  }

  /** Encodes the last frame `count` times more, or nothing visible if there was none. */
  repeat(count = 1): void {
    this.#timed(count, () => {});
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
    // A rendition that is taken back at the next GOP is converted from now on.
    const { next } = this.#shedder;
    const converted = this.#graphs.map((graph, i) => (this.#active[i] || next[i] ? graph.convert(frame) : undefined));
    frame.free();
    for (const former of this.#showing) former?.free();
    this.#showing = converted;
  }

  #timed(count: number, prepare: () => void): void {
    const startedMs = this.#nowMs();
    prepare();
    for (let i = 0; i < count; i++) this.#encodeShown();
    const nowMs = this.#nowMs();
    this.#shedder.spent(nowMs - startedMs, count * this.#frameMs, nowMs);
  }

  #encodeShown(): void {
    const { gopFrames } = this.#setup;
    if (this.#showing.length === 0) this.show(this.empty());
    const number = this.#frames++;
    const keyframe = number % gopFrames === 0;
    if (keyframe) this.#beginGop();
    for (const rendition of this.#order) {
      const frame = this.#active[rendition] ? this.#showing[rendition] : undefined;
      const encoder = this.#encoders[rendition];
      if (frame && encoder) this.#onFrame({ rendition, number, ...encoder.encode(frame, number, keyframe) });
    }
  }

  /** A rendition without a converted frame waits for the next GOP. */
  #beginGop(): void {
    const active = this.#shedder.beginGop(this.#nowMs()).map((wanted, i) => wanted && this.#showing[i] !== undefined);
    if (active.every((each, i) => each === this.#active[i])) return;
    this.#active = active;
    this.#onRenditions?.(active.filter(Boolean).length);
  }

  #dropGraphs(): void {
    for (const graph of this.#graphs) graph.free();
    this.#graphs = [];
  }
}
