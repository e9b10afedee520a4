/**
 * Measures the CPU to encode a 20 ms audio packet, and the distance of the decoded spectra from the original's: RMS over 23
 * Bark bands of windows with speech, dB, once of 21 ms and once of 5 ms, which show smeared onsets. The speech is that of the
 * demo's segments (espeak-ng), or of the files given.
 *
 *     npm run build && node bench/opus.ts [FILE…]
 *
 * Recorded speech: the eight files that Debian's alsa-utils has in /usr/share/sounds/alsa.
 *
 * Prints a line of text for each setting, and one of JSON.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Decoder } from '@evan/opus';
import { OpusEncoder } from '../services/media-sender/dist/audio/opus-encoder.js';

const RATE = 24_000;
const BLOCK = RATE / 50;
const WINDOWS = [512, 128] as const;
const BARK_EDGES_HZ = [
  0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400,
  7700, 9500, 12_000,
];
/** Level of the loudest band, relative to the whole's loudest, below which a window is a pause, dB. */
const PAUSE_DB = -40;
const FLOOR = 1000;

function readSpeech(): Int16Array {
  const demo = ['welcome', 'how-it-works', 'goodbye'].map((name) =>
    fileURLToPath(new URL(`../media/demo/segments/${name}.mp4`, import.meta.url)),
  );
  const given = process.argv.slice(2);
  const parts = (given.length > 0 ? given : demo).map((path) => {
    const format = ['-ac', '1', '-ar', String(RATE), '-f', 's16le', 'pipe:1'];
    return execFileSync('ffmpeg', ['-v', 'error', '-i', path, ...format], { maxBuffer: 1e9 });
  });
  return toSamples(Buffer.concat(parts));
}

function toSamples(bytes: Uint8Array): Int16Array {
  return new Int16Array(bytes.slice().buffer);
}

/** @returns the levels of the Bark bands of each window, dB. */
function bandsOf(pcm: Int16Array, window: number): number[][] {
  const cosines = Float64Array.from({ length: window }, (_, i) => Math.cos((2 * Math.PI * i) / window));
  const windows: number[][] = [];
  for (let at = 0; at + window <= pcm.length; at += window) windows.push(bandsAt(pcm, at, cosines));
  return windows;
}

function bandsAt(pcm: Int16Array, at: number, cosines: Float64Array): number[] {
  const window = cosines.length;
  const energies = new Array<number>(BARK_EDGES_HZ.length - 1).fill(FLOOR);
  for (let bin = 1; bin < window / 2; bin++) {
    let [real, imaginary] = [0, 0];
    for (let i = 0; i < window; i++) {
      const weighted = (pcm[at + i] ?? 0) * (0.5 - 0.5 * (cosines[i] ?? 0));
      real += weighted * (cosines[(bin * i) % window] ?? 0);
      imaginary += weighted * (cosines[(bin * i + window / 4) % window] ?? 0);
    }
    const hz = (bin * RATE) / window;
    const band = BARK_EDGES_HZ.findIndex((edge) => hz < edge) - 1;
    energies[band] = (energies[band] ?? 0) + real ** 2 + imaginary ** 2;
  }
  return energies.map((energy) => 10 * Math.log10(energy));
}

function distanceOf(original: readonly number[][], decoded: readonly number[][]): number {
  const speechDb = Math.max(...original.flat()) + PAUSE_DB;
  const distances = original.flatMap((bands, i) => {
    const others = decoded[i];
    if (!others || Math.max(...bands) < speechDb) return [];
    return [Math.sqrt(bands.reduce((sum, db, band) => sum + (db - (others[band] ?? 0)) ** 2, 0) / bands.length)];
  });
  return distances.reduce((sum, distance) => sum + distance, 0) / distances.length;
}

const speech = readSpeech();
const originals = WINDOWS.map((window) => bandsOf(speech, window));

function measure(mode: 'celt' | 'silk', bitrateBps: number, complexity: number) {
  const encoder = new OpusEncoder({ bitrateBps, complexity, mode });
  const decoder = new Decoder({ channels: 1, sample_rate: RATE });
  const blocks = Array.from({ length: Math.floor(speech.length / BLOCK) }, (_, i) =>
    speech.slice(i * BLOCK, (i + 1) * BLOCK),
  );
  const before = process.cpuUsage();
  const packets = blocks.map((block) => encoder.encode(block, true));
  const { user, system } = process.cpuUsage(before);
  const decoded = toSamples(Buffer.concat(packets.map((packet) => Buffer.from(decoder.decode(packet)))));
  const aligned = decoded.subarray(encoder.lookaheadSamples / 2);
  const result = {
    mode,
    bitrateBps,
    complexity,
    microsPerPacket: (user + system) / packets.length,
    distancesDb: originals.map((original, i) => distanceOf(original, bandsOf(aligned, WINDOWS[i] ?? 0))),
  };
  console.log(
    `${mode} ${bitrateBps / 1000} kb/s, complexity ${complexity}: ${result.microsPerPacket.toFixed(0)} µs a packet, ` +
      `${result.distancesDb.map((db) => db.toFixed(2)).join(' / ')} dB from the original`,
  );
  return result;
}

const results = (['silk', 'celt'] as const).flatMap((mode) =>
  [16_000, 24_000, 32_000, 48_000].flatMap((bitrateBps) =>
    [0, 2, 5].map((complexity) => measure(mode, bitrateBps, complexity)),
  ),
);
console.log(JSON.stringify(results));
