import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Arguments of ffmpeg for small files that are made fast. */
export const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
const AAC = ['-c:a', 'aac'];

/** A white flash and a 1 kHz beep of 100 ms that start together, at every full second of the clip. */
const flash = (seconds: number, fps: string) =>
  `color=black:s=160x120:r=${fps}:d=${seconds},drawbox=c=white:t=fill:enable='lt(mod(t+0.001,1),0.1)'`;
const beep = (seconds: number, atSeconds: number, rate = 48_000) =>
  `aevalsrc='if(lt(mod(t+${atSeconds},1),0.1),0.8*sin(2*PI*1000*(t+${atSeconds})),0)':s=${rate}:d=${seconds}`;

export interface FlashBeepOptions {
  readonly fps?: string;
  readonly audioLateSeconds?: number;
  readonly muxedLateSeconds?: number;
  readonly output?: readonly string[];
}

/** Makes small clips in a folder of its own, as tests ask for them. */
export class Clips {
  readonly folder = mkdtempSync(join(tmpdir(), 'humancast-clips-'));
  readonly #made = new Map<string, Promise<string>>();

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs ffmpeg once for each name; → the path. */
  make(name: string, args: readonly string[]): Promise<string> {
    const path = join(this.folder, name);
    const making = this.#made.get(name) ?? run('ffmpeg', ['-v', 'error', '-y', ...args, path]).then(() => path);
    this.#made.set(name, making);
    return making;
  }

  /** A moving test picture with a tone, two seconds at 30 fps; options replace the encoding. */
  test(name: string, options: { seconds?: number; size?: string; fps?: string; output?: readonly string[] } = {}) {
    const { seconds = 2, size = '160x120', fps = '30', output = [...H264, ...AAC] } = options;
    const picture = ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${fps}:d=${seconds}`];
    return this.make(name, [...picture, '-f', 'lavfi', '-i', `sine=440:r=48000:d=${seconds}`, ...output]);
  }

  /**
   * Flashes and beeps that start together, for three seconds; the sound may begin later than the picture.
   * `muxedLateSeconds` is how much later than that it is put into the file.
   */
  flashBeep(name: string, options: FlashBeepOptions = {}) {
    const { fps = '30', audioLateSeconds = 0, muxedLateSeconds = 0, output = [...H264, ...AAC] } = options;
    return this.make(name, [
      '-f',
      'lavfi',
      '-i',
      flash(3, fps),
      '-itsoffset',
      String(audioLateSeconds + muxedLateSeconds),
      '-f',
      'lavfi',
      '-i',
      beep(3 - audioLateSeconds, audioLateSeconds),
      ...output,
    ]);
  }

  /** A file of any bytes. */
  async bytes(name: string, content: Buffer | string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content);
    return path;
  }

  /** Another clip, with its bytes changed. */
  async altered(name: string, source: string, alter: (bytes: Buffer) => Buffer): Promise<string> {
    return this.bytes(name, alter(await readFile(source)));
  }
}
