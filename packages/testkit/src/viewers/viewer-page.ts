import type { Page } from 'playwright-core';
import type { TurnTransport } from '../turn.js';

export interface Seen {
  /** Mean color of the video, 0–255. */
  red: number;
  green: number;
  blue: number;
  framesDecoded: number;
  /** Number of complete frames received, and the time of that count, ms. */
  framesReceived: number;
  atMs: number;
}

export interface ViewerPageOptions {
  /** Ports used in the TURN server's URLs, such as a relay's. Default: its own. */
  readonly turnPorts?: Readonly<Partial<Record<TurnTransport, number>>>;
}

/** A viewer's page, whose decoded video and audio can be measured. */
export class ViewerPage {
  readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** Opens the page. `window.peers` holds its peer connections, for their statistics. */
  static async open(page: Page, url: string, { turnPorts = {} }: ViewerPageOptions = {}): Promise<ViewerPage> {
    await page.addInitScript((ports) => {
      const Native = window.RTCPeerConnection;
      const all: RTCPeerConnection[] = [];
      Object.assign(window, { peers: all });
      const through = (turnUrl: string) => {
        const plain = turnUrl.endsWith('=tcp') ? 'tcp' : 'udp';
        const port = ports[turnUrl.startsWith('turns:') ? 'tls' : plain];
        return port === undefined ? turnUrl : turnUrl.replace(/:\d+(?=\?|$)/, `:${port}`);
      };
      window.RTCPeerConnection = class extends Native {
        constructor(configuration: RTCConfiguration = {}) {
          const iceServers = (configuration.iceServers ?? []).map((server) => ({
            ...server,
            urls: [server.urls].flat().map(through),
          }));
          super({ ...configuration, iceServers });
          all.push(this);
        }
      };
    }, turnPorts);
    await page.goto(url);
    return new ViewerPage(page);
  }

  /** Resolves when the video moves: that of the page's `<human-cast>`, or else its own. */
  async playing(timeoutMs = 20_000): Promise<void> {
    await this.page.waitForFunction(
      () => {
        const page: ParentNode = document.querySelector('human-cast')?.shadowRoot ?? document;
        const video = page.querySelector('video');
        return video !== null && video.videoWidth > 0 && video.currentTime > 0.2;
      },
      null,
      { timeout: timeoutMs },
    );
  }

  async see(): Promise<Seen> {
    return this.page.locator('video').evaluate(async (video: HTMLVideoElement) => {
      const canvas = document.createElement('canvas');
      canvas.width = canvas.height = 16;
      const context = canvas.getContext('2d');
      if (video.videoWidth === 0 || !context) throw new Error('the page shows no video');
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

  /** Measures the loudness (RMS, 0–1) of the received audio over `ms`, and of a tone in it. */
  async measureAudio(ms: number, toneHz: number): Promise<{ rms: number; tone: number }> {
    return this.page.locator('video').evaluate(
      async (video: HTMLVideoElement, [duration, hz]) => {
        const context = new AudioContext({ sampleRate: 48_000 });
        const source = context.createMediaStreamSource(video.srcObject as MediaStream);
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
