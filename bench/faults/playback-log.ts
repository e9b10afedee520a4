import { type ShownFrame } from '@humancast/testkit';

export interface ReferenceClip {
  /** Frame number by the digest of its content. */
  readonly frames: ReadonlyMap<string, number>;
  readonly gopFrames: number;
  readonly fps: number;
}

/** A change of hosts, as one viewer saw it. */
export interface Resumption {
  readonly epoch: number;
  readonly lastFrame: number;
  readonly firstFrame: number;
  /** Frames shown again, modulo the clip, which is spoken repeatedly: a large number means that frames were skipped. */
  readonly again: number;
}

/** Records which frames of a clip one viewer was shown, by their content. */
export class PlaybackLog {
  readonly resumptions: Resumption[] = [];
  /** Forward jumps within one connection without packet loss: the host skipped frames. */
  skips = 0;
  readonly #clip: ReferenceClip;
  #last:
    | { readonly frame: number; readonly epoch: number; readonly connection: string; readonly lost: number }
    | undefined;

  constructor(clip: ReferenceClip) {
    this.#clip = clip;
  }

  add({ digest = '', epoch, connection, lost }: ShownFrame): void {
    const frame = this.#clip.frames.get(digest);
    const last = this.#last;
    if (frame === undefined) {
      // Idle frames; a new host also plays them until it has loaded the speech.
      if (last && last.epoch === epoch) this.#last = undefined;
      return;
    }
    this.#last = { frame, epoch, connection, lost };
    if (!last) return;
    if (epoch > last.epoch) this.#moved(last.frame, frame, epoch);
    else if (connection === last.connection && lost === last.lost && frame > last.frame + 1) this.skips++;
  }

  #moved(lastFrame: number, firstFrame: number, epoch: number): void {
    const { size } = this.#clip.frames;
    const again = (lastFrame + 1 - firstFrame + size) % size;
    this.resumptions.push({ epoch, lastFrame, firstFrame, again });
  }
}
