import type { Page } from 'playwright-core';

export interface Seen {
  /** Mean colour of the picture, 0–255. */
  red: number;
  green: number;
  blue: number;
  framesDecoded: number;
  /** Complete frames that arrived, and when that was counted, ms. */
  framesReceived: number;
  atMs: number;
}

/** What a viewer's page shows and plays, read from the picture and the sound themselves. */
export class ViewerPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Before the page's own scripts: keeps hold of the peer connections, for their statistics. */
  static async open(page: Page, url: string): Promise<ViewerPage> {
    await page.addInitScript(() => {
      const Native = window.RTCPeerConnection;
      const all: RTCPeerConnection[] = [];
      Object.assign(window, { peers: all });
      window.RTCPeerConnection = class extends Native {
        constructor(configuration?: RTCConfiguration) {
          super(configuration);
          all.push(this);
        }
      };
    });
    await page.goto(url);
    return new ViewerPage(page);
  }

  /** Resolves when the picture moves. */
  async playing(timeoutMs = 20_000): Promise<void> {
    await this.page.waitForFunction(
      () => [...document.querySelectorAll('video')].some((video) => video.videoWidth > 0 && video.currentTime > 0.2),
      null,
      { timeout: timeoutMs },
    );
  }

  async see(): Promise<Seen> {
    return this.page.evaluate(async () => {
      const video = [...document.querySelectorAll('video')].find((element) => element.videoWidth > 0);
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 16;
      const context = canvas.getContext('2d');
      if (!video || !context) throw new Error('nothing is shown');
      context.drawImage(video, 0, 0, 16, 16);
      const { data } = context.getImageData(0, 0, 16, 16);
      const mean = (channel: number) => {
        let sum = 0;
        for (let i = channel; i < data.length; i += 4) sum += data[i] ?? 0;
        return sum / (data.length / 4);
      };
      let framesDecoded = 0;
      let framesReceived = 0;
      let atMs = 0;
      for (const peer of (window as unknown as { peers: RTCPeerConnection[] }).peers) {
        if (peer.connectionState === 'closed') continue;
        for (const report of (await peer.getStats()).values()) {
          if (report.type !== 'inbound-rtp' || report.kind !== 'video') continue;
          framesDecoded += report.framesDecoded;
          framesReceived += report.framesReceived;
          atMs = report.timestamp;
        }
      }
      return { red: mean(0), green: mean(1), blue: mean(2), framesDecoded, framesReceived, atMs };
    });
  }

  /** Loudness (RMS, 0–1) of what is received over `ms`, and of a tone in it. */
  async hear(ms: number, toneHz: number): Promise<{ rms: number; tone: number }> {
    return this.page.evaluate(
      async ([duration, hz]) => {
        const video = [...document.querySelectorAll('video')].find((element) => element.srcObject);
        const context = new AudioContext({ sampleRate: 48_000 });
        const source = context.createMediaStreamSource(video?.srcObject as MediaStream);
        const analyser = context.createAnalyser();
        analyser.fftSize = 4096;
        source.connect(analyser);
        const wave = new Float32Array(analyser.fftSize);
        let loudest = { rms: 0, tone: 0 };
        const until = performance.now() + (duration ?? 0);
        while (performance.now() < until) {
          await new Promise((resolve) => setTimeout(resolve, 50));
          analyser.getFloatTimeDomainData(wave);
          let sum = 0;
          let cosine = 0;
          let sine = 0;
          wave.forEach((sample, i) => {
            const phase = (2 * Math.PI * (hz ?? 0) * i) / 48_000;
            sum += sample * sample;
            cosine += sample * Math.cos(phase);
            sine += sample * Math.sin(phase);
          });
          const rms = Math.sqrt(sum / wave.length);
          if (rms > loudest.rms) loudest = { rms, tone: (Math.SQRT2 * Math.hypot(cosine, sine)) / wave.length };
        }
        await context.close();
        return loudest;
      },
      [ms, toneHz],
    );
  }
}
