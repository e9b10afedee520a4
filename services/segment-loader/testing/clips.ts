import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** ffmpeg arguments for fast encoding of small files. */
export const H264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
const AAC = ['-c:a', 'aac'];

/** A white flash and a 1 kHz beep of 100 ms, both starting at every full second of the clip. */
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

/** Creates small clips on demand, in a folder of its own. */
export class Clips {
  readonly folder = mkdtempSync(join(tmpdir(), 'humancast-clips-'));
  readonly #made = new Map<string, Promise<string>>();

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Runs ffmpeg once per name. @returns The file's path. */
  make(name: string, args: readonly string[]): Promise<string> {
    const path = join(this.folder, name);
    const making = this.#made.get(name) ?? run('ffmpeg', ['-v', 'error', '-y', ...args, path]).then(() => path);
    this.#made.set(name, making);
    return making;
  }

  /** Creates a test pattern with a tone, by default two seconds at 30 fps. */
  test(name: string, options: { seconds?: number; size?: string; fps?: string; output?: readonly string[] } = {}) {
    const { seconds = 2, size = '160x120', fps = '30', output = [...H264, ...AAC] } = options;
    const args = ['-f', 'lavfi', '-i', `testsrc2=s=${size}:r=${fps}:d=${seconds}`];
    return this.make(name, [...args, '-f', 'lavfi', '-i', `sine=440:r=48000:d=${seconds}`, ...output]);
  }

  /**
   * Creates three seconds of simultaneous flashes and beeps.
   * @param options `audioLateSeconds` delays the start of the audio; `muxedLateSeconds` delays its timestamps further.
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

  /** Creates a file of any bytes. */
  async bytes(name: string, content: Buffer | string): Promise<string> {
    const path = join(this.folder, name);
    await writeFile(path, content);
    return path;
  }

  /** Creates a modified copy of a clip. */
  async altered(name: string, source: string, alter: (bytes: Buffer) => Buffer): Promise<string> {
    return this.bytes(name, alter(await readFile(source)));
  }
}
