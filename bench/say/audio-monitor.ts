/** The page's records; times in ms since the Unix epoch. */
export interface AudioMonitor {
  lastKeyAt: number;
  /** The last audio that was played, and the last that was received, though the page may have muted it. */
  lastLoudAt: number;
  lastReceivedAt: number;
  /** Start of the current or last played speech. */
  voiceAt: number;
}

/** Runs in the page: records key presses and audio. */
export function installAudioMonitor(video: HTMLVideoElement): void {
  /** Share of full scale; idle is digital silence, apart from codec noise. */
  const LOUD = 0.01;
  /** Silence after which audio counts as the start of speech. */
  const PAUSE_MS = 700;
  const audioMonitor: AudioMonitor = { lastKeyAt: 0, lastLoudAt: 0, lastReceivedAt: 0, voiceAt: 0 };
  Object.assign(globalThis, { audioMonitor });
  addEventListener(
    'keydown',
    () => {
      audioMonitor.lastKeyAt = Date.now();
    },
    true,
  );

  const stream = video.srcObject;
  const track = stream instanceof MediaStream ? stream.getAudioTracks().at(0) : undefined;
  // W3C mediacapture-transform: supported by Chromium, missing in TypeScript's DOM library.
  const { MediaStreamTrackProcessor } = globalThis as unknown as {
    MediaStreamTrackProcessor: new (init: {
      track: MediaStreamTrack | undefined;
    }) => { readable: ReadableStream<AudioData> };
  };
  const reader = new MediaStreamTrackProcessor({ track: track?.clone() }).readable.getReader();
  const read = async (): Promise<void> => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const samples = new Float32Array(next.value.numberOfFrames);
      next.value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      next.value.close();
      if (!samples.some((sample) => Math.abs(sample) > LOUD)) continue;
      const now = Date.now();
      audioMonitor.lastReceivedAt = now;
      // An interruption disables the track, but not its clone.
      if (!track?.enabled) continue;
      if (now - audioMonitor.lastLoudAt > PAUSE_MS) audioMonitor.voiceAt = now;
      audioMonitor.lastLoudAt = now;
    }
  };
  void read();
}
