import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SYNC_CLIP = fileURLToPath(new URL('../../../scripts/demo-media/sync-clip.mjs', import.meta.url));

export const SYNC_TONE_HZ = 1000;

/** Makes a clip with a white flash and a 1 kHz beep once a second that start at the same instant; PCM in a .mov. */
export async function makeSyncClip(
  path: string,
  options: { seconds: number; fps: number; size: string },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const { seconds, fps, size } = options;
  await run(process.execPath, [SYNC_CLIP, '--seconds', `${seconds}`, '--fps', `${fps}`, '--size', size, path]);
}

/** Makes a clip of one color, with a continuous tone or silence. */
export async function makePlainClip(
  path: string,
  options: { seconds: number; fps: number; size: string; color: string; toneHz?: number },
): Promise<void> {
  const { seconds, fps, size, color, toneHz } = options;
  const audio = toneHz === undefined ? 'anullsrc=r=48000:cl=mono' : `sine=frequency=${toneHz}:sample_rate=48000`;
  // The amplitude of `sine` is 1/8.
  await encode(path, [`color=${color}:s=${size}:r=${fps}`, `${audio},volume=4`], seconds);
}

/**
 * Makes a clip whose video fills the bitrate it is given, as a real one would, with a tone.
 *
 * @param options.seed clips with different seeds have no frame in common (default 1).
 */
export async function makeBusyClip(
  path: string,
  options: { seconds: number; fps: number; size: string; seed?: number },
): Promise<void> {
  const { seconds, fps, size, seed = 1 } = options;
  const video = `testsrc2=s=${size}:r=${fps},hue=h=${seed % 360},noise=alls=12:allf=t:all_seed=${seed}`;
  await encode(path, [video, 'sine=frequency=220:sample_rate=48000'], seconds);
}

async function encode(path: string, [video = '', audio = '']: readonly string[], seconds: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await run('ffmpeg', [
    '-v',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    video,
    '-f',
    'lavfi',
    '-i',
    audio,
    '-t',
    String(seconds),
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-crf',
    '16',
    '-pix_fmt',
    'yuv420p',
    '-c:a',
    'pcm_s16le',
    path,
  ]);
}

export interface TestClipOptions {
  /** Color of the frame, as ffmpeg names it, except for a small moving dot. */
  color: string;
  seconds: number;
  /** Default: silence. */
  toneHz?: number;
  fps?: string;
  size?: string;
}

/** Makes a clip that can be recognized by its color and its tone. */
export function makeTestClip(
  path: string,
  { color, seconds, toneHz, fps = '30', size = '320x240' }: TestClipOptions,
): void {
  mkdirSync(dirname(path), { recursive: true });
  const audio = toneHz === undefined ? 'anullsrc=r=48000:cl=mono' : `sine=frequency=${toneHz}:sample_rate=48000`;
  execFileSync('ffmpeg', [
    '-hide_banner',
    '-loglevel',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    `color=c=${color}:s=${size}:r=${fps}`,
    '-f',
    'lavfi',
    '-i',
    `color=c=white:s=8x8:r=${fps}`,
    '-f',
    'lavfi',
    '-i',
    audio,
    '-filter_complex',
    "[0][1]overlay=x='mod(100*t,300)':y=4,format=yuv420p[v]",
    '-map',
    '[v]',
    '-map',
    '2',
    '-t',
    String(seconds),
    '-c:v',
    'libx264',
    '-preset',
    'ultrafast',
    '-c:a',
    'aac',
    '-b:a',
    '96k',
    path,
  ]);
}
