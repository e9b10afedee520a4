// Renders the demo's media, media/demo/: `node scripts/demo-media/render.mjs [name…]`, after `npm run build`.
// Needs ffmpeg and espeak-ng. The clips are in the repository; run this only to change them, or to make those of an avatar
// without a background: `node scripts/demo-media/render.mjs --transparent media/cutout [name…]`.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  FacePainter,
  FRAMES_PER_SECOND,
  IDLE_CLIPS,
  idleMotion,
  SPEECH_SAMPLE_RATE,
  speak,
  speechMotion,
} from '@humancast/demo-face';

/** @import { Motion } from '@humancast/demo-face' */

const SIZE = 640;
const LEAD_SECONDS = 0.25;

/** @type {Record<string, string>} */
const SPOKEN = {
  welcome: 'Hello, and welcome to humancast! I am a digital human, live in your browser.',
  'how-it-works':
    'Each sentence is encoded once, and sent to every viewer, with picture and voice together to the frame.',
  interrupt: 'You can interrupt me at any moment. I stop at once, and I listen.',
  goodbye: 'Now bring your own model, and your own voice. Thank you for watching, and see you soon!',
};

const { values, positionals: wanted } = parseArgs({
  options: { transparent: { type: 'string' } },
  allowPositionals: true,
});
const isTransparent = values.transparent !== undefined;
const output = values.transparent ?? fileURLToPath(new URL('../../media/demo/', import.meta.url));

for (const [name, options] of IDLE_CLIPS) {
  if (isWanted(name)) await render(join('idle', name), idleMotion(options), new Int16Array());
}
for (const [name, text] of Object.entries(SPOKEN)) {
  if (!isWanted(name)) continue;
  const { pcm, phonemes } = await speak(text);
  const motion = speechMotion(phonemes, pcm.length / SPEECH_SAMPLE_RATE, {
    leadSeconds: LEAD_SECONDS,
    framesPerSecond: FRAMES_PER_SECOND,
  });
  await render(join('segments', name), motion, pcm);
}

/** @param {string} name */
function isWanted(name) {
  return wanted.length === 0 || wanted.includes(name);
}

/**
 * @param {string} name path of the clip under media/demo, without its extension
 * @param {Motion} motion
 * @param {Int16Array} voice speech, which starts at LEAD_SECONDS
 */
async function render(name, motion, voice) {
  const path = join(output, `${name}.${isTransparent ? 'webm' : 'mp4'}`);
  const frames = Math.round(motion.durationSeconds * FRAMES_PER_SECOND);
  const scratch = await mkdtemp(join(tmpdir(), 'demo-media-'));
  try {
    await mkdir(dirname(path), { recursive: true });
    const soundtrack = join(scratch, 'voice.pcm');
    await writeFile(soundtrack, soundtrackOf(voice, frames));
    await encode(path, soundtrack, motion, frames);
    console.log(`${path}: ${frames} frames`);
  } finally {
    await rm(scratch, { recursive: true });
  }
}

/**
 * Writes audio of exactly the video's duration.
 *
 * @param {Int16Array} voice
 * @param {number} frames
 */
function soundtrackOf(voice, frames) {
  const samples = new Int16Array((frames * SPEECH_SAMPLE_RATE) / FRAMES_PER_SECOND);
  samples.set(voice, Math.round(LEAD_SECONDS * SPEECH_SAMPLE_RATE));
  return samples;
}

/**
 * @param {string} path
 * @param {string} soundtrack
 * @param {Motion} motion
 * @param {number} frames
 */
async function encode(path, soundtrack, motion, frames) {
  const video = [
    '-f',
    'rawvideo',
    '-pix_fmt',
    'rgba',
    '-s',
    `${SIZE}x${SIZE}`,
    '-r',
    String(FRAMES_PER_SECOND),
    '-i',
    'pipe:0',
  ];
  const audio = ['-f', 's16le', '-ar', String(SPEECH_SAMPLE_RATE), '-ac', '1', '-i', soundtrack];
  const color = ['-colorspace', 'bt709', '-color_primaries', 'bt709', '-color_trc', 'bt709', '-color_range', 'tv'];
  const h264 = ['-c:v', 'libx264', '-preset', 'veryslow', '-tune', 'animation', '-crf', '20', '-pix_fmt', 'yuv420p'];
  // In units of a sample, so that the edit list removes the encoder's padding exactly.
  const aac = ['-c:a', 'aac', '-b:a', '96k', '-movie_timescale', String(SPEECH_SAMPLE_RATE), '-movflags', '+faststart'];
  const vp9 = ['-c:v', 'libvpx-vp9', '-pix_fmt', 'yuva420p', '-auto-alt-ref', '0', '-crf', '18', '-b:v', '0'];
  const opus = ['-cpu-used', '4', '-row-mt', '1', '-c:a', 'libopus', '-b:a', '96k'];
  const ffmpeg = spawn(
    'ffmpeg',
    [
      '-v',
      'error',
      '-y',
      ...video,
      ...audio,
      '-vf',
      'scale=out_color_matrix=bt709:out_range=tv',
      ...(isTransparent ? [...vp9, ...color, ...opus] : [...h264, ...color, ...aac]),
      path,
    ],
    { stdio: ['pipe', 'inherit', 'inherit'] },
  );
  const ended = once(ffmpeg, 'close');
  // If ffmpeg fails, its exit code tells; the broken pipe adds nothing.
  ffmpeg.stdin.on('error', () => {});

  const painter = new FacePainter(SIZE, !isTransparent);
  for (let frame = 0; frame < frames && ffmpeg.exitCode === null; frame++) {
    if (!ffmpeg.stdin.write(painter.paint(motion.poseAt(frame / FRAMES_PER_SECOND)))) {
      await Promise.race([once(ffmpeg.stdin, 'drain'), ended]);
    }
  }
  ffmpeg.stdin.end();
  const [code] = await ended;
  if (code !== 0) throw new Error(`ffmpeg ended with code ${code}`);
}
