/** What the page has noted; instants in ms since the Unix epoch. */
export interface PageEar {
  lastKeyAt: number;
  /** The last sound that was heard; and that was received, though the page may have silenced it. */
  lastLoudAt: number;
  lastReceivedAt: number;
  /** When the voice began that is heard, or was heard last. */
  voiceAt: number;
}

/** Runs in the page: notes keys and sound. */
export function installEar(): void {
  /** Of full scale; idle is digital silence, but for what the codec makes of it. */
  const LOUD = 0.01;
  /** After so much quiet, a sound is the beginning of a voice. */
  const PAUSE_MS = 700;
  const ear: PageEar = { lastKeyAt: 0, lastLoudAt: 0, lastReceivedAt: 0, voiceAt: 0 };
  Object.assign(globalThis, { ear });
  addEventListener(
    'keydown',
    () => {
      ear.lastKeyAt = Date.now();
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
      ear.lastReceivedAt = now;
      if (video?.volume === 0) continue;
      if (now - ear.lastLoudAt > PAUSE_MS) ear.voiceAt = now;
      ear.lastLoudAt = now;
    }
  };
  void read();
}
