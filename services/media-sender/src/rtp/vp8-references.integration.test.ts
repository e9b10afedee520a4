import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packetizerOf } from './packetize.js';
import { Vp8References } from './vp8-references.js';

const run = promisify(execFile);
const IVF_HEADER_BYTES = 32;
const IVF_FRAME_HEADER_BYTES = 12;
const ENCODER = ['-c:v', 'libvpx', '-deadline', 'realtime', '-cpu-used', '-8', '-b:v', '150k', '-lag-in-frames', '0'];
/** Encoder arguments of the segment-loader for the smallest rendition of a ladder. */
const LAYERS = ['-ts-parameters', 'ts_target_bitrate=100,150:ts_layering_mode=2', '-error-resilient', 'default'];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vp8-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** @returns The frames of two seconds, each with its IVF header. */
async function encode(gopFrames: number, options: readonly string[]): Promise<{ header: Buffer; frames: Buffer[] }> {
  const path = join(folder, 'clip.ivf');
  const source = ['-f', 'lavfi', '-i', `testsrc2=size=320x180:rate=${gopFrames}:duration=2`];
  await run('ffmpeg', ['-v', 'error', ...source, ...ENCODER, '-g', String(gopFrames), ...options, '-y', path]);
  const file = await readFile(path);
  const frames: Buffer[] = [];
  for (let at = IVF_HEADER_BYTES; at < file.length; ) {
    const end = at + IVF_FRAME_HEADER_BYTES + file.readUInt32LE(at);
    frames.push(file.subarray(at, end));
    at = end;
  }
  return { header: file.subarray(0, IVF_HEADER_BYTES), frames };
}

/** @returns A hash of each decoded frame. */
async function decode(parts: readonly Buffer[]): Promise<string[]> {
  const path = join(folder, 'decoded.ivf');
  await writeFile(path, Buffer.concat(parts));
  const output = await run('ffmpeg', ['-v', 'error', '-i', path, '-fps_mode', 'passthrough', '-f', 'framemd5', '-']);
  return output.stdout
    .split('\n')
    .flatMap((line) => (line && !line.startsWith('#') ? [line.split(',').at(-1) ?? ''] : []));
}

describe('Vp8References', () => {
  it.each([30, 25])(
    'marks every second frame of a layered rendition as discardable, GOPs of %d frames, and decoding without them changes no other',
    async (gopFrames) => {
      const { header, frames } = await encode(gopFrames, LAYERS);
      const references = new Vp8References();
      const kept = frames.map((frame) => !references.isDiscardable(frame.subarray(IVF_FRAME_HEADER_BYTES)));
      const left = kept.filter((isKept) => !isKept).length;
      expect(left).toBeGreaterThanOrEqual(gopFrames - 3);
      expect(kept.some((isKept, i) => !isKept && kept[i + 1] === false)).toBe(false);
      const whole = await decode([header, ...frames]);
      const halved = await decode([header, ...frames.filter((_, i) => kept[i])]);
      expect(halved).toEqual(whole.filter((_, i) => kept[i]));
    },
  );

  it('marks no frame of a rendition without layers', async () => {
    const { frames } = await encode(30, []);
    const packetize = packetizerOf('vp8');
    const packetized = frames.map((frame, i) => packetize(frame.subarray(IVF_FRAME_HEADER_BYTES), i % 30 === 0));
    expect(packetized.filter(({ discardable }) => discardable)).toEqual([]);
  });

  it('does not throw for any bytes', () => {
    const references = new Vp8References();
    for (let length = 0; length < 40; length++) {
      for (const fill of [0, 1, 0x55, 0xff]) references.isDiscardable(Buffer.alloc(length, fill));
    }
    expect(references.isDiscardable(Buffer.alloc(0))).toBe(false);
  });
});
