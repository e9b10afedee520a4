import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const SYNC_CLIP = fileURLToPath(new URL('../../scripts/demo-media/sync-clip.mjs', import.meta.url));

export const SYNC_TONE_HZ = 1000;

/** Once a second a white flash and a 1 kHz beep that start at the same instant; PCM in a .mov. */
export async function makeSyncClip(
  path: string,
  options: { seconds: number; fps: number; size: string },
): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const { seconds, fps, size } = options;
  await run(process.execPath, [SYNC_CLIP, '--seconds', `${seconds}`, '--fps', `${fps}`, '--size', size, path]);
}

/** One colour, and a continuous tone or silence. */
export async function makePlainClip(
  path: string,
  options: { seconds: number; fps: number; size: string; colour: string; toneHz?: number },
): Promise<void> {
  const { seconds, fps, size, colour, toneHz } = options;
  const sound = toneHz === undefined ? 'anullsrc=r=48000:cl=mono' : `sine=frequency=${toneHz}:sample_rate=48000`;
  // Sine's own amplitude is 1/8.
  await encode(path, [`color=${colour}:s=${size}:r=${fps}`, `${sound},volume=4`], seconds);
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
  const picture = `testsrc2=s=${size}:r=${fps},hue=h=${seed % 360},noise=alls=12:allf=t:all_seed=${seed}`;
  await encode(path, [picture, 'sine=frequency=220:sample_rate=48000'], seconds);
}

async function encode(path: string, [picture = '', sound = '']: readonly string[], seconds: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await run('ffmpeg', [
    '-v',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    picture,
    '-f',
    'lavfi',
    '-i',
    sound,
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
