import { createCanvas } from '@napi-rs/canvas';
import { drawFace } from './face.js';
import type { Pose } from './pose.js';

/** Paints poses as raw frames, all of one size. */
export class FacePainter {
  readonly size: number;
  readonly #canvas;
  readonly #context;

  /** @param size side of the square frames in pixels */
  constructor(size: number) {
    this.size = size;
    this.#canvas = createCanvas(size, size);
    this.#context = this.#canvas.getContext('2d');
  }

  /** @returns the picture as RGBA, 4 bytes a pixel, rows from the top; the caller's to keep */
  paint(pose: Pose): Buffer {
    drawFace(this.#context, pose, this.size);
    // A copy: the canvas gives out its own memory, and is drawn on again.
    return Buffer.from(this.#canvas.data());
  }
}
