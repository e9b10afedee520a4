import { type MouthShape, REST_MOUTH } from './mouth.js';

/** All moving parts of the drawn face. All values are ratios; zero is the neutral pose. */
export interface Pose {
  mouth: MouthShape;
  /** Corners of the mouth: 0 at rest (friendly), 1 a broad smile, −1 serious. */
  smile: number;
  /** Eyelids: 0 open, 1 closed. */
  blink: number;
  /** Eyebrows: 1 raised, −1 lowered. */
  brow: number;
  /** Direction of the eyes, −1…1: to the right of the image, and down. */
  gaze: { x: number; y: number };
  /** −1…1: turned to the right of the image, bowed, tilted to the right of the image. */
  head: { yaw: number; pitch: number; tilt: number };
  /** 0 exhaled, 1 inhaled. */
  breath: number;
}

/** The pose in which every clip starts and ends, so that any clip can follow any other, and speech can cut in between. */
export const NEUTRAL_POSE: Pose = {
  mouth: REST_MOUTH,
  smile: 0,
  blink: 0,
  brow: 0,
  gaze: { x: 0, y: 0 },
  head: { yaw: 0, pitch: 0, tilt: 0 },
  breath: 0,
};

/** Interpolates between two poses: `ratio` 0 is the first, 1 the second. The mouth is the second's. */
export function mixPoses(from: Pose, to: Pose, ratio: number): Pose {
  const mix = (a: number, b: number) => a + (b - a) * ratio;
  return {
    mouth: to.mouth,
    smile: mix(from.smile, to.smile),
    blink: mix(from.blink, to.blink),
    brow: mix(from.brow, to.brow),
    gaze: { x: mix(from.gaze.x, to.gaze.x), y: mix(from.gaze.y, to.gaze.y) },
    head: {
      yaw: mix(from.head.yaw, to.head.yaw),
      pitch: mix(from.head.pitch, to.head.pitch),
      tilt: mix(from.head.tilt, to.head.tilt),
    },
    breath: mix(from.breath, to.breath),
  };
}
