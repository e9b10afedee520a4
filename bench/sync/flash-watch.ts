/// <reference lib="dom" />
/**
 * Detects the flashes of the sync clip in a video element by each presented frame's brightness in
 * `requestVideoFrameCallback`. A flash counts from the time at which its first white frame was expected on the screen
 * (`expectedDisplayTime`), a multiple of the refresh interval. Not every frame gets a callback: if `presentedFrames` shows
 * that one was missed just before a flash, the flash is not used, because it may have started with that frame.
 */
export class FlashWatch {
  readonly flashesMs: number[] = [];
  unseen = 0;
  firstFrameMs: number | undefined;
  readonly #video: HTMLVideoElement;
  readonly #pen: CanvasRenderingContext2D;
  #white = true;
  #presented = 0;

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    this.#pen = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
    this.#await();
  }

  #await(): void {
    this.#video.requestVideoFrameCallback((_now, frame) => {
      this.#read(frame);
      this.#await();
    });
  }

  #read({ expectedDisplayTime, presentationTime, presentedFrames }: VideoFrameCallbackMetadata): void {
    this.firstFrameMs ??= presentationTime;
    const white = this.#isWhite();
    const missed = presentedFrames !== this.#presented + 1;
    if (white && !this.#white) {
      if (missed) this.unseen++;
      else this.flashesMs.push(expectedDisplayTime);
    }
    this.#white = white;
    this.#presented = presentedFrames;
  }

  /** A few pixels in the middle are enough: the flash fills the frame. */
  #isWhite(): boolean {
    const { videoWidth, videoHeight } = this.#video;
    this.#pen.drawImage(this.#video, videoWidth / 2, videoHeight / 2, 8, 8, 0, 0, 1, 1);
    return (this.#pen.getImageData(0, 0, 1, 1).data[0] ?? 0) > 128;
  }
}
