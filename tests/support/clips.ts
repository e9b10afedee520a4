import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';

export interface ClipOptions {
  /** An ffmpeg colour: the whole picture, but for a small moving dot. */
  colour: string;
  seconds: number;
  /** A tone for the whole length; silence without. */
  toneHz?: number;
  fps?: string;
  size?: string;
}

/** A clip that can be told by its colour and its tone. */
export function makeClip(path: string, { colour, seconds, toneHz, fps = '30', size = '320x240' }: ClipOptions): void {
  mkdirSync(dirname(path), { recursive: true });
  const sound = toneHz === undefined ? 'anullsrc=r=48000:cl=mono' : `sine=frequency=${toneHz}:sample_rate=48000`;
  execFileSync('ffmpeg', [
    '-hide_banner',
    '-loglevel',
    'error',
    '-y',
    '-f',
    'lavfi',
    '-i',
    `color=c=${colour}:s=${size}:r=${fps}`,
    '-f',
    'lavfi',
    '-i',
    `color=c=white:s=8x8:r=${fps}`,
    '-f',
    'lavfi',
    '-i',
    sound,
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
