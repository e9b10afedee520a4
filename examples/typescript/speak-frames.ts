// Speaks with a drawn face, frame by frame, as a model would: node speak-frames.ts [SESSION]
// Without a session, it creates one and prints where to watch. HUMANCAST_API_KEY must be set (.humancast/api-key).
import { createInterface } from 'node:readline/promises';
import { Humancast } from '@humancast/producer';

const FPS = 25;
const SIZE = 256;
const SAMPLE_RATE = 24_000;
const SAMPLES = SAMPLE_RATE / FPS;
const SECONDS = 8;

const { HUMANCAST_API_KEY: apiKey = '', SIGNALING_URL, LOADER_URL } = process.env;
const signalingUrl = SIGNALING_URL ?? 'http://127.0.0.1:8080';
const humancast = new Humancast({ apiKey, signalingUrl, ...(LOADER_URL && { loaderUrl: LOADER_URL }) });

/** Loudness from 0 to 1: three syllables per second, each a half sine wave. */
const loudness = (seconds: number) => Math.max(0, Math.sin(2 * Math.PI * 3 * seconds));

/** Draws an RGB frame: a face whose mouth opens with the loudness. */
function draw(open: number): Uint8Array {
  const frame = new Uint8Array(SIZE * SIZE * 3);
  for (let y = 0; y < SIZE; y++) {
    for (let x = 0; x < SIZE; x++) {
      const mouth = Math.abs(x - SIZE / 2) < 40 && Math.abs(y - 180) < 3 + 20 * open;
      const face = Math.hypot(x - SIZE / 2, y - SIZE / 2) < 110;
      frame.set(mouth ? [140, 40, 60] : face ? [240, 190, 150] : [40, 90, 120], 3 * (y * SIZE + x));
    }
  }
  return frame;
}

async function createSession(): Promise<string> {
  const { id, token } = await humancast.createSession('demo');
  console.log(`watch it: ${signalingUrl}/?session=${id}&token=${token}`);
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  await terminal.question('press Enter when you see it: ');
  terminal.close();
  return id;
}

const session = process.argv[2] ?? (await createSession());
const format = { fps: FPS, width: SIZE, height: SIZE, pixelFormat: 'rgb24', sampleFormat: 'f32' } as const;
const live = await humancast.live({ avatar: 'demo', session, interrupt: true, ...format });
for (let k = 0; k < SECONDS * FPS && !live.interrupted.aborted; k++) {
  const seconds = (sample: number) => (k * SAMPLES + sample) / SAMPLE_RATE;
  const wave = (_: unknown, i: number) => 0.3 * loudness(seconds(i)) * Math.sin(2 * Math.PI * 140 * seconds(i));
  await live.pushAudio(Float32Array.from({ length: SAMPLES }, wave)); // Both calls wait while the encoder is busy.
  await live.pushVideo(draw(loudness(seconds(0))));
}
const { segment, frames, durationMs } = await live.end();
const interruption =
  live.interruptedAtMs === undefined ? '' : `, interrupted after ${Math.round(live.interruptedAtMs)} ms`;
console.log(`${segment}: ${frames} frames, ${durationMs} ms${interruption}`);
