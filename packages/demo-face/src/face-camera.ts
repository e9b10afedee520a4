import { i420Of } from './i420.js';
import { FacePainter } from './painter.js';
import type { Pose } from './pose.js';

/** Draws the face as frames of a live push. */
export class FaceCamera {
  readonly size: number;
  readonly #painter: FacePainter;

  constructor(size: number) {
    // 4:2:0 has one chroma sample for two rows and two columns.
    this.size = size - (size % 2);
    this.#painter = new FacePainter(this.size);
  }

  frameOf(pose: Pose): Buffer {
    return i420Of(this.#painter.paint(pose), this.size, this.size);
  }
}
