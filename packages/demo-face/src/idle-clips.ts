import type { IdleOptions } from './motion.js';

/** Frame rate of the demo avatar's clips, and of its speech. */
export const FRAMES_PER_SECOND = 30;

/** Parameters of the demo avatar's idle clips (media/demo/idle/) by name, also used to continue from their poses. */
export const IDLE_CLIPS: ReadonlyMap<string, IdleOptions> = new Map(
  Object.entries<IdleOptions>({
    listening: { durationSeconds: 4, breaths: 1, blinksAtSeconds: [1.1, 3.1], sway: 0.5, smile: 0.25 },
    glancing: {
      durationSeconds: 6,
      breaths: 2,
      blinksAtSeconds: [1.15, 3.62, 4.9],
      glances: [
        { fromSeconds: 1.2, toSeconds: 2.4, x: -0.7, y: 0.15 },
        { fromSeconds: 2.4, toSeconds: 3.65, x: 0.55, y: -0.2 },
      ],
      sway: 0.35,
    },
    smiling: { durationSeconds: 5, breaths: 1, blinksAtSeconds: [0.9, 1.25, 3.7], sway: -0.6, smile: 0.8 },
  }),
);
