/** What the page has noted; instants in ms since the Unix epoch. */
export interface AudioMonitor {
  lastKeyAt: number;
  /** The last sound that was audible; and that was received, though the page may have silenced it. */
  lastLoudAt: number;
  lastReceivedAt: number;
  /** When the voice began that is audible, or was audible last. */
  voiceAt: number;
}

/** Runs in the page: notes keys and sound. */
export function installAudioMonitor(): void {
  /** Of full scale; idle is digital silence, but for what the codec makes of it. */
  const LOUD = 0.01;
  /** After so much quiet, a sound is the beginning of a voice. */
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

  const video = [...document.querySelectorAll('video')].find(({ srcObject }) => srcObject);
  const stream = video?.srcObject;
  const track = stream instanceof MediaStream ? stream.getAudioTracks().at(0) : undefined;
  // Not in TypeScript's DOM yet (W3C mediacapture-transform); Chromium has it.
  const { MediaStreamTrackProcessor } = globalThis as unknown as {
    MediaStreamTrackProcessor: new (init: {
      track: MediaStreamTrack | undefined;
    }) => { readable: ReadableStream<AudioData> };
  };
  const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
  const read = async (): Promise<void> => {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const samples = new Float32Array(next.value.numberOfFrames);
      next.value.copyTo(samples, { planeIndex: 0, format: 'f32-planar' });
      next.value.close();
      if (!samples.some((sample) => Math.abs(sample) > LOUD)) continue;
      const now = Date.now();
      audioMonitor.lastReceivedAt = now;
      if (video?.volume === 0) continue;
      if (now - audioMonitor.lastLoudAt > PAUSE_MS) audioMonitor.voiceAt = now;
      audioMonitor.lastLoudAt = now;
    }
  };
  void read();
}
