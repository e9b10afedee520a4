import type { TrackPair } from './messages.js';

/** The part of a video element that is used. */
export type StageElement = Pick<HTMLVideoElement, 'autoplay' | 'muted' | 'playsInline' | 'srcObject' | 'play'>;

/**
 * The video element, with one stream that stays: connections change by swapping its tracks, so that the last picture of one
 * stands until the first of the next. Both tracks in one stream is also what makes the browser lip-sync them.
 */
export class Stage {
  readonly #element: StageElement;
  readonly #stream: MediaStream;

  constructor(element: StageElement, stream: MediaStream) {
    this.#element = element;
    this.#stream = stream;
    element.autoplay = true;
    element.playsInline = true;
    element.muted = true;
    element.srcObject = stream;
  }

  show(tracks: Partial<TrackPair<MediaStreamTrack>>): void {
    const next = [tracks.video, tracks.audio].filter((track) => track !== undefined);
    const old = this.#stream.getTracks().filter((track) => !next.includes(track));
    // In one task, so that the element is never without a picture. Old before new: Firefox goes on waiting for frames of a
    // removed track for good when its successor joined the stream before it left.
    for (const track of old) this.#stream.removeTrack(track);
    for (const track of next) this.#stream.addTrack(track);
    // Muted play is always allowed; a refusal would only mean that the element left the page.
    this.#element.play().catch(() => {});
  }

  /** → whether the browser allows sound now: it does inside a click or key press. */
  async unmute(): Promise<boolean> {
    this.#element.muted = false;
    try {
      await this.#element.play();
      return true;
    } catch {
      this.mute();
      return false;
    }
  }

  mute(): void {
    this.#element.muted = true;
    this.#element.play().catch(() => {});
  }

  clear(): void {
    if (this.#element.srcObject === this.#stream) this.#element.srcObject = null;
  }
}
