import {
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVA420P,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_SMPTE170M,
  type AVPixelFormat,
} from 'node-av/constants';
import { Frame } from 'node-av/lib';
import { MultiGraph } from './multi-graph.js';
import type { MergeSetup } from './wire.js';

/** Merges each frame with an image below and an image above it. */
export class VideoMerger {
  readonly #setup: MergeSetup;
  #below: Frame | undefined;
  #above: Frame | undefined;
  #graph: MultiGraph | undefined;
  #merged = 0;

  constructor(setup: MergeSetup) {
    this.#setup = setup;
  }

  /** @param bytes I420 of the composition's size, with an alpha plane if it is transparent. */
  setBelow(bytes: Buffer): void {
    this.#below = this.#canvas(bytes, this.#setup.isTransparent ? AV_PIX_FMT_YUVA420P : AV_PIX_FMT_YUV420P);
  }

  /** @param bytes I420 with an alpha plane, of the composition's size. */
  setAbove(bytes: Buffer): void {
    this.#above = this.#canvas(bytes, AV_PIX_FMT_YUVA420P);
  }

  /** Frees the given frame. @returns A frame that the caller frees. @throws FFmpegError. */
  merge(frame: Frame): Frame {
    const frames = [this.#below, frame, this.#above].filter((each) => each !== undefined);
    if (!this.#graph?.accepts(frames)) {
      this.#graph?.free();
      this.#graph = new MultiGraph(frames, this.#chain());
    }
    // Equal timestamps keep the filter from waiting for further frames of an input.
    const pts = BigInt(this.#merged++);
    for (const each of frames) each.pts = pts;
    const merged = this.#graph.filter(frames);
    frame.free();
    return merged;
  }

  #chain(): string {
    const { filters, x, y } = this.#setup;
    const over = `[in0][layer]overlay=x=${x}:y=${y}:eval=init:format=yuv420`;
    const end = this.#above ? '[under];[under][in2]overlay=format=yuv420[out]' : '[out]';
    return `[in1]${filters}[layer];${over}${end}`;
  }

  #canvas(bytes: Buffer, format: AVPixelFormat): Frame {
    const { width, height, matrix } = this.#setup;
    // The receive buffer is reused, so the bytes are copied.
    const own = Buffer.from(bytes);
    const frame = Frame.fromVideoBuffer(own, { width, height, format, timeBase: { num: 1, den: 1000 }, pts: 0n });
    frame.colorSpace = matrix === 'bt601' ? AVCOL_SPC_SMPTE170M : AVCOL_SPC_BT709;
    frame.colorRange = AVCOL_RANGE_MPEG;
    return frame;
  }
}
