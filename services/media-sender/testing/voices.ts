import { execFileSync } from 'node:child_process';

const FULL_SCALE = 32_768;

/** @returns What an espeak-ng voice says, mono, without silence at its ends, at a level in dBFS (RMS). */
export function speak(text: string, options: { voice: string; rate: number; db: number }): Int16Array {
  const { voice, rate, db } = options;
  const wav = execFileSync('espeak-ng', ['-v', voice, '--stdout', text], { maxBuffer: 1e9 });
  const args = ['-v', 'error', '-i', 'pipe:0', '-ac', '1', '-ar', String(rate), '-f', 's16le', 'pipe:1'];
  const bytes = execFileSync('ffmpeg', args, { input: wav, maxBuffer: 1e9 });
  const pcm = new Int16Array(new Uint8Array(bytes).buffer);
  const threshold = 0.03 * pcm.reduce((peak, sample) => Math.max(peak, Math.abs(sample)), 0);
  const isLoud = (sample: number) => Math.abs(sample) > threshold;
  const spoken = pcm.subarray(pcm.findIndex(isLoud), pcm.findLastIndex(isLoud) + 1);
  const rms = Math.sqrt(spoken.reduce((sum, sample) => sum + sample * sample, 0) / spoken.length);
  const gain = (FULL_SCALE * 10 ** (db / 20)) / rms;
  return spoken.map((sample) => Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, sample * gain)));
}

/** @returns Numbers from 0 to 1, the same for each seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** @returns White noise at a level in dBFS (RMS). */
export function noise(samples: number, db: number, seed = 1): Float64Array {
  const random = randomOf(seed);
  // The sum of four uniform variables is near enough to a normal one; its variance is a third.
  const gain = FULL_SCALE * 10 ** (db / 20) * Math.sqrt(3);
  return Float64Array.from({ length: samples }, () => gain * (random() + random() + random() + random() - 2));
}

/** A room's effect on a loudspeaker's sound on its way to the microphone. */
export interface Room {
  readonly delayMs: number;
  /** Level of the echo relative to what is played, dB. */
  readonly db: number;
  /** Time in which the reverberation falls by 60 dB. */
  readonly reverbMs?: number;
  readonly seed?: number;
}

/** @returns The echo in a room: a direct path, sparse reflections and a tail, colored by the reflections. */
export function echoOf(pcm: Int16Array, rate: number, { delayMs, db, reverbMs = 300, seed = 1 }: Room): Float64Array {
  const random = randomOf(seed);
  const taps: { at: number; gain: number }[] = [{ at: 0, gain: 1 }];
  for (let ms = 1 + 4 * random(); ms < reverbMs; ms += 2 + 12 * random()) {
    const gain = 0.6 * (random() < 0.5 ? -1 : 1) * random() * 10 ** ((-3 * ms) / reverbMs);
    taps.push({ at: Math.round((ms * rate) / 1000), gain });
  }
  const energy = taps.reduce((sum, { gain }) => sum + gain * gain, 0);
  const scale = 10 ** (db / 20) / Math.sqrt(energy);
  const delay = Math.round((delayMs * rate) / 1000);
  const echo = new Float64Array(pcm.length);
  for (const { at, gain } of taps) {
    for (let i = delay + at; i < echo.length; i++)
      echo[i] = (echo[i] as number) + scale * gain * (pcm[i - delay - at] as number);
  }
  return echo;
}

/** @returns The sum as PCM. */
export function mix(...parts: readonly ArrayLike<number>[]): Int16Array {
  const length = Math.max(...parts.map((part) => part.length));
  return Int16Array.from({ length }, (_, i) => {
    const sum = parts.reduce((total, part) => total + (part[i] ?? 0), 0);
    return Math.max(-FULL_SCALE, Math.min(FULL_SCALE - 1, Math.round(sum)));
  });
}

/** @returns Parts one after the other, each at a sample. */
export function place(length: number, parts: readonly { at: number; pcm: ArrayLike<number> }[]): Float64Array {
  const out = new Float64Array(length);
  for (const { at, pcm } of parts) {
    for (let i = 0; i < pcm.length && at + i < length; i++) out[at + i] = (out[at + i] as number) + (pcm[i] as number);
  }
  return out;
}
