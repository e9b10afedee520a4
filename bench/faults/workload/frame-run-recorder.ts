import { type ShownFrame } from '@humancast/testkit';
import type { History, HistoryInput } from '../history.ts';
import type { Catalog } from './catalog.ts';

type Run = Extract<HistoryInput, { type: 'frames' }>;

export interface FrameRunRecorderOptions {
  readonly session: string;
  readonly viewer: string;
  readonly catalog: Pick<Catalog, 'find'>;
  readonly history: History;
  /** `performance.now()` at the start of the run. */
  readonly originMs: number;
}

/** Maximum time between two frames of a burst, ms: half a frame at 25 fps. */
const BURST_GAP_MS = 20;

/** Records the uninterrupted runs of a segment's frames that one viewer receives. */
export class FrameRunRecorder {
  readonly #options: FrameRunRecorderOptions;
  #run: (Run & { catchUp: number }) | undefined;
  #lastMs = 0;

  constructor(options: FrameRunRecorderOptions) {
    this.#options = options;
  }

  add({ digest = '', epoch, connection, lost, arrivedMs }: ShownFrame): void {
    const { session, viewer, catalog, originMs } = this.#options;
    const known = catalog.find(digest);
    if (!known) {
      this.flush();
      return;
    }
    const { segment, frame } = known;
    const atMs = Math.round(arrivedMs - originMs);
    const run = this.#run;
    if (run && run.segment === segment && run.connection === connection && frame === run.lastFrame + 1) {
      this.#countCatchUp(run, frame - run.firstFrame, arrivedMs - this.#lastMs);
      run.lastFrame = frame;
      this.#lastMs = arrivedMs;
      run.untilMs = atMs;
      run.lostAfter = lost;
      return;
    }
    this.flush();
    this.#lastMs = arrivedMs;
    this.#run = {
      type: 'frames',
      session,
      viewer,
      connection,
      epoch,
      segment,
      firstFrame: frame,
      lastFrame: frame,
      catchUp: 0,
      fromMs: atMs,
      untilMs: atMs,
      lostBefore: lost,
      lostAfter: lost,
    };
  }

  /** A burst goes on after one pause, of the sender or of this process, and ends with the second. */
  #countCatchUp(run: Run & { catchUp: number }, index: number, gapMs: number): void {
    if (run.catchUp < index - 2) return;
    if (gapMs < BURST_GAP_MS) run.catchUp = index;
  }

  /** Ends the current run. */
  flush(): void {
    if (this.#run) this.#options.history.add(this.#run);
    this.#run = undefined;
  }
}
