// Makes a clip to measure lip-sync with: once a second, two white frames and a 1 kHz beep of 100 ms that start together.
//
//   node scripts/demo-media/sync-clip.mjs [--seconds 10] [--fps 30] [--size 640x640] sync.mov
//
// The flash is the first frame at or after k + 0.5 s, and the beep starts at that frame's own time, to the sample: at
// 25 fps that is 0.52 s, 1.52 s, … because no frame starts at 0.5. Needs ffmpeg.
//
// Prefer .mov, with PCM and exact times. .mp4 has AAC, whose padding a reader must remove by the edit list;
// .mkv has FLAC, and rounds times to a millisecond.

import { spawnSync } from 'node:child_process';
import { extname } from 'node:path';
import { parseArgs } from 'node:util';

const SAMPLE_RATE = 48_000;
const FLASH_FRAMES = 2;
const BEEP_SAMPLES = SAMPLE_RATE / 10;
const BEEP_HZ = 1000;

/** @type {Record<string, string[]>} */
const AUDIO_OF = {
  '.mov': ['-c:a', 'pcm_s16le'],
  '.mp4': ['-c:a', 'aac', '-b:a', '128k', '-movie_timescale', String(SAMPLE_RATE)],
  '.mkv': ['-c:a', 'flac'],
};

const { values, positionals } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    fps: { type: 'string', default: '30' },
    size: { type: 'string', default: '640x640' },
  },
  allowPositionals: true,
});
const [path = 'sync.mov'] = positionals;
const seconds = Number(values.seconds);
const [, frames = '', per = '1'] = /^(\d+)(?:\/(\d+))?$/.exec(values.fps) ?? [];
const fps = Number(frames) / Number(per);
const audio = AUDIO_OF[extname(path)];

if (!(seconds > 0 && seconds <= 3600)) fail('--seconds must be a number from 0 to 3600');
// At a lower rate, a beep would not end within its second.
if (!(fps >= 4 && fps <= 240)) fail('--fps must be a whole number or a ratio such as 30000/1001, from 4 to 240');
if (!/^\d+[02468]x\d+[02468]$/.test(values.size)) fail('--size must be WIDTHxHEIGHT, both even');
if (!audio) fail('the output must end in .mov, .mp4 or .mkv');

// The same expression selects the frame in both tracks, so that rounding cannot separate them.
const flashFrame = (/** @type {string} */ time) => `ceil((floor(${time})+0.5)*${frames}/${per})`;
const isFlash = `between(n-${flashFrame(`n*${per}/${frames}`)},0,${FLASH_FRAMES - 1})`;
const sinceBeep = `(n-round(${flashFrame(`n/${SAMPLE_RATE}`)}*${per}/${frames}*${SAMPLE_RATE}))`;
const beep = `if(between(${sinceBeep},0,${BEEP_SAMPLES - 1}),0.6*sin(2*PI*${BEEP_HZ}*${sinceBeep}/${SAMPLE_RATE}),0)`;

const graph = [
  `color=black:s=${values.size}:r=${values.fps}[black]`,
  // A moving part, so that no two frames between flashes are equal.
  `color=0x303030:s=16x16:r=${values.fps}[dot]`,
  `[black][dot]overlay=x='mod(n*4,W-w)':y='H-h-8',drawbox=color=white:t=fill:enable='${isFlash}',format=yuv420p[video]`,
  `aevalsrc='${beep}':s=${SAMPLE_RATE}:c=mono[audio]`,
].join(';');
const h264 = ['-c:v', 'libx264', '-preset', 'fast', '-crf', '16', '-bf', '0', '-g', String(Math.round(fps))];
const output = [
  '-map',
  '[video]',
  '-map',
  '[audio]',
  ...h264,
  ...(audio ?? []),
  '-t',
  String(seconds),
  '-movflags',
  '+faststart',
  path,
];

const { status, error } = spawnSync('ffmpeg', ['-v', 'error', '-y', '-filter_complex', graph, ...output], {
  stdio: 'inherit',
});
if (error) fail(`ffmpeg can't be run: ${error.message}`);
process.exitCode = status ?? 1;

/**
 * @param {string} message
 * @returns {never}
 */
function fail(message) {
  console.error(message);
  process.exit(2);
}
