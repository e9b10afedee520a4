import type { Page } from 'playwright-core';

/**
 * Measures how far the demo avatar's mouth opens within some time.
 * @returns the darkest mean of the mouth's middle, 0–255; lower is more open.
 */
export async function watchMouth(page: Page, ms: number): Promise<number> {
  return page.locator('video').evaluate(async (video: HTMLVideoElement, duration) => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 8;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (video.videoWidth === 0 || !context) throw new Error('the page shows no video');
    let darkest = 255;
    const until = performance.now() + duration;
    while (performance.now() < until) {
      const { videoWidth: width, videoHeight: height } = video;
      context.drawImage(video, 0.47 * width, 0.53 * height, 0.06 * width, 0.045 * height, 0, 0, 8, 8);
      const { data } = context.getImageData(0, 0, 8, 8);
      let sum = 0;
      for (let i = 0; i < data.length; i += 4) sum += (data[i] ?? 0) + (data[i + 1] ?? 0) + (data[i + 2] ?? 0);
      darkest = Math.min(darkest, sum / 3 / 64);
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    return darkest;
  }, ms);
}
