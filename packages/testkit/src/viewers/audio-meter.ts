import type { Page } from 'playwright-core';

/** Measures the received audio of a page's avatar, after the jitter buffer. */
export interface AudioMeter {
  /** RMS of the last 85 ms, 0–1. */
  level(): Promise<number>;
  /** Time since the last audible sample, ms. */
  quietMs(): Promise<number>;
}

/** RMS above encoded silence and far below a voice. */
const QUIET = 0.004;

export async function startAudioMeter(page: Page): Promise<AudioMeter> {
  await page.locator('video').evaluate((video: HTMLVideoElement, quiet) => {
    const context = new AudioContext({ sampleRate: 48_000 });
    const analyser = context.createAnalyser();
    analyser.fftSize = 4096;
    context.createMediaStreamSource(video.srcObject as MediaStream).connect(analyser);
    const wave = new Float32Array(analyser.fftSize);
    const audioMeter = { level: 0, lastLoudMs: performance.now() };
    Object.assign(window, { audioMeter });
    setInterval(() => {
      analyser.getFloatTimeDomainData(wave);
      audioMeter.level = Math.sqrt(wave.reduce((sum, sample) => sum + sample * sample, 0) / wave.length);
      if (audioMeter.level > quiet) audioMeter.lastLoudMs = performance.now();
    }, 20);
  }, QUIET);
  const read = () =>
    page.evaluate(() => {
      const { level, lastLoudMs } = (window as unknown as { audioMeter: { level: number; lastLoudMs: number } })
        .audioMeter;
      return { level, quietMs: performance.now() - lastLoudMs };
    });
  return {
    level: async () => (await read()).level,
    quietMs: async () => (await read()).quietMs,
  };
}
