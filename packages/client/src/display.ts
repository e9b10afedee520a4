import type { TrackPair } from './messages.js';

/** The part of a video element that is used. */
export type DisplayElement = Pick<
  HTMLVideoElement,
  | 'addEventListener'
  | 'autoplay'
  | 'muted'
  | 'pause'
  | 'paused'
  | 'play'
  | 'playsInline'
  | 'removeEventListener'
  | 'srcObject'
> &
  Partial<Pick<HTMLVideoElement, 'getVideoPlaybackQuality' | 'requestVideoFrameCallback'>>;

/**
 * Displays connections in a video element through a single stream, whose tracks are swapped when the connection changes, so
 * that the last frame of one stays visible until the first of the next. A single stream also makes the browser lip-sync its
 * tracks.
 */
export class Display {
  readonly #element: DisplayElement;
  readonly #createStream: () => MediaStream;
  #stream: MediaStream;
  #shown = false;
  #presented = 0;
  #cleared = false;
  /** Whether the page has paused it, so that a new track must not resume it. */
  #held = false;

  constructor(element: DisplayElement, createStream: () => MediaStream) {
    this.#element = element;
    this.#createStream = createStream;
    this.#stream = createStream();
    element.autoplay = true;
    element.playsInline = true;
    element.muted = true;
    this.#countFrames();
  }

  /**
   * Frames that the element has presented so far, by `requestVideoFrameCallback` or else `getVideoPlaybackQuality()`.
   * Browsers present none while the page is hidden.
   * @returns `undefined` if the browser offers neither.
   */
  get framesPresented(): number | undefined {
    if (this.#element.requestVideoFrameCallback) return this.#presented;
    const quality = this.#element.getVideoPlaybackQuality?.();
    const presented = quality && quality.totalVideoFrames - quality.droppedVideoFrames;
    return Number.isFinite(presented) ? presented : undefined;
  }

  /** Whether the element is paused, by the browser, the page or the user. */
  get paused(): boolean {
    return this.#element.paused;
  }

  /** Calls back when the element starts to play or is paused. @returns A function that stops it. */
  onPlayback(listener: () => void): () => void {
    const events = ['pause', 'playing'] as const;
    for (const event of events) this.#element.addEventListener(event, listener);
    return () => {
      for (const event of events) this.#element.removeEventListener(event, listener);
    };
  }

  show(tracks: Partial<TrackPair<MediaStreamTrack>>): void {
    const next = [tracks.video, tracks.audio].filter((track) => track !== undefined);
    const old = this.#stream.getTracks().filter((track) => !next.includes(track));
    // In one task, so that the element never lacks video. The old track is removed first: Firefox waits forever for frames
    // of a removed track if its successor joined the stream before it left.
    for (const track of old) this.#stream.removeTrack(track);
    for (const track of next) this.#stream.addTrack(track);
    // Not before there are tracks: a page's `load` event waits for its media elements.
    if (!this.#shown) this.#element.srcObject = this.#stream;
    this.#shown = true;
    void this.resume();
  }

  /** Passes the same tracks to the element in a new stream, so that it renders them again after a moment without video. */
  renew(): void {
    const tracks = this.#stream.getTracks();
    this.#stream = this.#createStream();
    for (const track of tracks) this.#stream.addTrack(track);
    this.#element.srcObject = this.#stream;
    void this.resume();
  }

  /**
   * Plays. Browsers reject this outside of a click or key press if audio is on, in low-power modes, and with data savers.
   * @returns Whether it plays.
   */
  async play(): Promise<boolean> {
    this.#held = false;
    try {
      await this.#element.play();
      return true;
    } catch {
      return !this.#element.paused;
    }
  }

  /** Pauses until {@link play}. */
  pause(): void {
    this.#held = true;
    this.#element.pause();
  }

  /** Plays, unless the page has paused. */
  async resume(): Promise<void> {
    if (!this.#held) await this.play();
  }

  /** Turns audio on. @returns Whether the browser allows that, as it does inside a click or key press. */
  async unmute(): Promise<boolean> {
    this.#element.muted = false;
    if (this.#held || (await this.play())) return true;
    this.mute();
    return false;
  }

  mute(): void {
    this.#element.muted = true;
    void this.resume();
  }

  clear(): void {
    this.#cleared = true;
    if (this.#element.srcObject === this.#stream) this.#element.srcObject = null;
  }

  #countFrames(): void {
    this.#element.requestVideoFrameCallback?.(() => {
      this.#presented++;
      if (!this.#cleared) this.#countFrames();
    });
  }
}
