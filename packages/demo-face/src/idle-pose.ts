import { FRAMES_PER_SECOND, IDLE_CLIPS } from './idle-clips.js';
import { idleMotion } from './motion.js';
import { NEUTRAL_POSE, type Pose } from './pose.js';

/** The point at which the session would cut its idle clip, as signaling reports it. */
interface NextCut {
  readonly segment: string;
  readonly frame: number;
  readonly inMs: number;
}

/** Time from drawing the first frame to showing it, ms: encoding, and the prefetch before a live start. */
const START_MS = 100;
const KNOWN_CLIPS_LIMIT = 100;

/**
 * Knows the pose in which the demo avatar's idle clips will be cut, so that speech starts without a visible jump. Other
 * clips are assumed to be at rest.
 */
export class IdlePoses {
  readonly #nameOf: (segment: string) => Promise<string>;
  /** Names of clips by segment; they never change. */
  readonly #names = new Map<string, string>();

  constructor(nameOf: (segment: string) => Promise<string>) {
    this.#nameOf = nameOf;
  }

  /** @returns A function that gives the pose at a time, `performance.now()`. */
  async after(cut: NextCut | undefined, askedAtMs: number): Promise<(nowMs: number) => Pose> {
    const name = cut && (await this.#name(cut.segment));
    const clip = name === undefined ? undefined : IDLE_CLIPS.get(name.replace(/\.\w+$/, ''));
    if (!cut || !clip) return () => NEUTRAL_POSE;
    const motion = idleMotion(clip);
    return (nowMs) => {
      const sinceMs = Math.max(0, nowMs + START_MS - askedAtMs - cut.inMs);
      // Past its end another clip plays, which begins at rest, as this one ends.
      return motion.poseAt(Math.min(cut.frame / FRAMES_PER_SECOND + sinceMs / 1000, motion.durationSeconds));
    };
  }

  async #name(segment: string): Promise<string | undefined> {
    const known = this.#names.get(segment);
    if (known !== undefined) return known;
    try {
      const name = await this.#nameOf(segment);
      if (this.#names.size >= KNOWN_CLIPS_LIMIT) this.#names.clear();
      this.#names.set(segment, name);
      return name;
    } catch {
      return undefined; // Only affects the looks.
    }
  }
}
