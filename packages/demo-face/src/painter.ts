import { createCanvas } from '@napi-rs/canvas';
import { drawFace } from './face.js';
import type { Pose } from './pose.js';

/** Renders poses as raw frames of one size. */
export class FacePainter {
  readonly size: number;
  readonly #canvas;
  readonly #context;

  /** @param size Side of the square frames, pixels. */
  constructor(size: number) {
    this.size = size;
    this.#canvas = createCanvas(size, size);
    this.#context = this.#canvas.getContext('2d');
  }

  /** @returns The image as RGBA, 4 bytes per pixel, rows from the top, in memory of its own. */
  paint(pose: Pose): Buffer {
    drawFace(this.#context, pose, this.size);
    // Copied, because the canvas returns its own memory, which is drawn on again.
    return Buffer.from(this.#canvas.data());
  }
}
