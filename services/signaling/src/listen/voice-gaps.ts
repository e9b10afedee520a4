import { type Heard, LISTEN_FRAME_MS } from '@humancast/protocol';

interface Last {
  readonly epoch: number;
  readonly frame: number;
  readonly atMs: number;
}

/** Viewers whose last frame is remembered. */
const MOST_VIEWERS = 1000;

/** Puts the voices of one session in order: drops what an older host still sends, and marks what is missing. */
export class VoiceGaps {
  readonly #last = new Map<string, Last>();

  /** @returns The frame, with what is missing before it; `undefined` if its host has lost the viewer to another one. */
  next(heard: Heard): Heard | undefined {
    const { viewer, epoch, frame, atMs } = heard;
    const last = this.#last.get(viewer);
    if (last && epoch < last.epoch) return undefined;
    this.#last.delete(viewer);
    this.#last.set(viewer, { epoch, frame, atMs });
    const [oldest] = this.#last.keys();
    if (this.#last.size > MOST_VIEWERS && oldest !== undefined) this.#last.delete(oldest);
    const lostMs = last ? gapMs(last, heard) : 0;
    return lostMs > 0 ? { ...heard, gapMs: (heard.gapMs ?? 0) + lostMs } : heard;
  }
}

function gapMs(last: Last, { epoch, frame, atMs }: Heard): number {
  if (epoch === last.epoch && frame > last.frame) return (frame - last.frame - 1) * LISTEN_FRAME_MS;
  // Another host, or another connection: only the clock tells.
  return Math.max(0, Math.round(atMs - last.atMs - LISTEN_FRAME_MS));
}
