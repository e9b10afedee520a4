const INTERVAL_MS = 50;
/** Level of a quiet room, and of a loud voice, dBFS. */
const [QUIET_DB, LOUD_DB] = [-60, -10];

/**
 * Measures how loud a stream is.
 * @param show Called 20 times a second, with 0 (a quiet room) to 1 (a loud voice).
 * @returns A function that ends it.
 */
export function measureLevel(stream: MediaStream, show: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 2048 });
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    const db = 10 * Math.log10(power + 1e-9);
    show(Math.min(1, Math.max(0, (db - QUIET_DB) / (LOUD_DB - QUIET_DB))));
  }, INTERVAL_MS);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}
