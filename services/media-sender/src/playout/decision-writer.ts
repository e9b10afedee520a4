import type { Decisions } from '@humancast/shared';
import type { Clip } from './clip.js';
import type { ScheduledFrame } from './playout.js';
import type { DecidedStep } from './session-player.js';

/** Steps of 20 ms in an entry. */
const STEPS_PER_ENTRY = 2;

type FrameRun = Decisions['frames'][number];

/** Collects what a host decides into entries for its followers. */
export class DecisionWriter {
  #steps: DecidedStep[] = [];
  #clip: Clip | undefined;
  #entry = 0;

  /** @returns The next entry's content, once it is complete. */
  add(step: DecidedStep): Pick<Decisions, 'audioSamples' | 'frames' | 'opus'> | undefined {
    this.#steps.push(step);
    const [first] = this.#steps;
    if (!first || this.#steps.length < STEPS_PER_ENTRY) return undefined;
    const steps = this.#steps;
    this.#steps = [];
    return {
      audioSamples: first.audioSamples,
      opus: steps.map(({ opus }) => opus),
      frames: this.#runsOf(steps.flatMap(({ frames }) => frames)),
    };
  }

  #runsOf(frames: readonly ScheduledFrame[]): FrameRun[] {
    const runs: FrameRun[] = [];
    for (const { clip, frame, startSamples } of frames) {
      if (clip !== this.#clip) this.#entry++;
      this.#clip = clip;
      const last = runs.at(-1);
      const continues =
        last?.entry === this.#entry && last.startSamples === startSamples && last.first + last.count === frame;
      if (continues) last.count++;
      else runs.push({ entry: this.#entry, segment: clip.segment, startSamples, first: frame, count: 1 });
    }
    return runs;
  }
}
