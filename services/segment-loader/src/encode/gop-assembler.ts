import { type EncodedFrame, packGop } from '@humancast/shared';

/** Collects a rendition's frames into GOPs of a fixed number of frames. */
export class GopAssembler {
  readonly #gopFrames: number;
  #frames: EncodedFrame[] = [];
  #frameCount = 0;
  #gopCount = 0;

  constructor(gopFrames: number) {
    this.#gopFrames = gopFrames;
  }

  get frameCount(): number {
    return this.#frameCount;
  }

  /** Number of completed GOPs; the index of the next one. */
  get gopCount(): number {
    return this.#gopCount;
  }

  /** @returns The packed GOP that this frame completes. @throws RangeError if a GOP would not start with a keyframe. */
  push(frame: EncodedFrame): Buffer | undefined {
    if (this.#frames.length === 0 && !frame.keyframe) {
      throw new RangeError(`frame ${this.#frameCount} must be a keyframe: they come every ${this.#gopFrames} frames`);
    }
    this.#frames.push(frame);
    this.#frameCount++;
    return this.#frames.length === this.#gopFrames ? this.#pack() : undefined;
  }

  /** @returns The last GOP, which may be shorter. */
  end(): Buffer | undefined {
    return this.#frames.length > 0 ? this.#pack() : undefined;
  }

  #pack(): Buffer {
    const gop = packGop(this.#frames);
    this.#frames = [];
    this.#gopCount++;
    return gop;
  }
}
