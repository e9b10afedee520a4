import { createCanvas } from '@napi-rs/canvas';
import { drawFace } from './face.js';
import type { Pose } from './pose.js';

/** Renders poses as raw frames of one size. */
export class FacePainter {
  readonly size: number;
  readonly #canvas;
  readonly #context;

  readonly #hasBackground: boolean;

  /**
   * @param size Side of the square frames, pixels.
   * @param hasBackground Whether frames are opaque.
   */
  constructor(size: number, hasBackground = true) {
    this.size = size;
    this.#hasBackground = hasBackground;
    this.#canvas = createCanvas(size, size);
    this.#context = this.#canvas.getContext('2d');
  }

  /** @returns The image as RGBA, not premultiplied, 4 bytes per pixel, rows from the top, in memory of its own. */
  paint(pose: Pose): Buffer {
    if (!this.#hasBackground) this.#context.clearRect(0, 0, this.size, this.size);
    drawFace(this.#context, pose, this.size, this.#hasBackground);
    if (!this.#hasBackground) return Buffer.from(this.#context.getImageData(0, 0, this.size, this.size).data.buffer);
    // Copied, because the canvas returns its own memory, which is drawn on again.
    return Buffer.from(this.#canvas.data());
  }
}
